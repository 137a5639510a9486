"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest
from simia_store import Reader, RunStatus, TurnRecord

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(example: str, directory: Path) -> str:
    command = [sys.executable, str(EXAMPLES / example)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_generate(tmp_path: Path) -> None:
    said = run("generate.py", tmp_path)
    assert "kept 32" in said
    assert "assistant:" in said


def test_stream(tmp_path: Path) -> None:
    said = run("stream.py", tmp_path).splitlines()
    assert [int(line.split()[0]) for line in said] == list(range(1, 21))
    with Reader(tmp_path / "runs" / "stream.db") as reader:
        record = reader.run()
        assert record is not None
        assert record.status == RunStatus.STOPPED


def test_rollout(tmp_path: Path) -> None:
    said = run("rollout.py", tmp_path).splitlines()
    assert len(said) == 6
    assert all(line.endswith("rewards [1.0, 1.0, 1.0, 1.0]") for line in said)
    with Reader(tmp_path / "runs" / "rollouts.db") as reader:
        sources = {turn.source for turn in reader.all(TurnRecord)}
    assert {"llm", "function"} <= sources


@pytest.mark.soak
def test_train_in_simulation(tmp_path: Path) -> None:
    said = run("train_in_simulation.py", tmp_path)
    assert "step 1: reward" in said
    assert "needs action" in said
