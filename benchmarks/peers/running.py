"""Playing one round with one player, each in a fresh process of its own environment."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers.material import write_material
from benchmarks.serving import Mock

HERE = Path(__file__).parent
VENVS = HERE.parent.parent / ".peers-venv"
QUIET = {
    "OMP_NUM_THREADS": "1",
    "INSPECT_DISPLAY": "none",
    "TELEMETRY_ENABLED": "false",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""One thread of a numerical library as for us; no display, no telemetry, no network."""

Result = dict[str, Any]


class Player(NamedTuple):
    """Who is measured."""

    title: str
    script: str
    python: Path


PLAYERS = {
    "ours": Player("simia-async", "play_ours.py", Path(sys.executable)),
    "verifiers": Player("verifiers", "play_verifiers.py", VENVS / "verifiers/bin/python"),
    "inspect": Player("inspect_ai", "play_inspect.py", VENVS / "inspect/bin/python"),
    "curator": Player("curator", "play_curator.py", VENVS / "curator/bin/python"),
    "threads": Player("the reference's pattern", "play_threads.py", Path(sys.executable)),
}


class Failed(Exception):
    """A player that ended without a result, or not in time; its text says how."""


def play(player: Player, mock: Mock, conversations: int, turns: int, limit_s: float) -> Result:
    """What it measured, and what the mock says of it. Raises `Failed`."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        scratch = Path(directory).resolve()
        material = scratch / "material.json"
        write_material(material)
        command = [player.python, HERE / player.script, mock.url, conversations, turns]
        try:
            said = subprocess.run(
                [*map(str, command), str(material), str(scratch)],
                capture_output=True,
                text=True,
                check=False,
                timeout=limit_s,
                env=os.environ | QUIET | {"HF_HOME": str(scratch / "huggingface")},
            )
        except subprocess.TimeoutExpired:
            mock.summary()
            raise Failed(f"not done after {limit_s:g} s") from None
    counted = mock.summary()
    if said.returncode:
        raise Failed(f"ended with {said.returncode}: {said.stderr.strip().splitlines()[-1:]}")
    result: Result = json.loads(said.stdout.splitlines()[-1])
    return result | counted
