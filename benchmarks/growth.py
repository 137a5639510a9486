"""What a run costs as it grows: `python -m benchmarks.growth [--sizes 104 1000 10000 100000]`.

A run of so many conversations in groups of 8, 256 of them at once, against the mock; then the same
command again, with nothing left to play; the rules over every conversation; the export of what they
kept; and the questions of dashboard and scripts. Each in a process of its own, imports not counted.
Sizes are rounded down to whole groups. A conversation takes some 3 ms of CPU in all.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.growth_phases import GROUP
from benchmarks.serving import Mock, running

PHASES = ("play", "resume", "keep", "export", "look")
Life = dict[str, dict[str, float]]
"""Figures by phase."""


def live(mock: Mock, conversations: int, turns: int) -> Life:
    """One run from its beginning to its export."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        run = Path(directory) / "run.db"
        life = {}
        for phase in PHASES:
            command = [sys.executable, "-m", "benchmarks.growth_phases", phase]
            arguments = map(str, (run, mock.url, conversations, turns))
            said = subprocess.run(
                [*command, *arguments], capture_output=True, text=True, check=False
            )
            if said.returncode:
                raise SystemExit(f"{conversations}, {phase} failed:\n{said.stderr[-2000:]}")
            life[phase] = json.loads(said.stdout.splitlines()[-1])
        return life


def rows(life: Life, conversations: int) -> dict[str, str]:
    """What is told of one size."""

    def each(phase: str, name: str, times: float = 1000) -> float:
        return life[phase][name] / conversations * times

    look = life["look"]
    told: dict[str, Any] = {
        "CPU to play, ms a conversation": f"{each('play', 'cpu_s'):.2f}",
        "conversations/s": f"{conversations / life['play']['wall_s']:,.0f}",
        "memory of the owner, peak MB": f"{life['play']['peak_mb']:,.0f}",
        "store, kB a conversation": f"{each('play', 'store_mb'):.1f}",
        "resume, until it plays: CPU s": f"{life['resume']['recall_ms'] / 1000:.2f}",
        "resume, until it plays: CPU ms a conversation": f"{each('resume', 'recall_ms', 1):.3f}",
        "resume: peak MB": f"{life['resume']['peak_mb']:,.0f}",
        "rules over all, CPU ms a conversation": f"{each('keep', 'cpu_s'):.2f}",
        "rules over all, conversations/s": f"{conversations / life['keep']['wall_s']:,.0f}",
        "rules over all, peak MB": f"{life['keep']['peak_mb']:,.0f}",
        "export, CPU ms a kept one": (
            f"{life['export']['cpu_s'] / life['export']['exported'] * 1000:.2f}"
        ),
        "export, peak MB": f"{life['export']['peak_mb']:,.0f}",
    }
    questions: dict[str, str] = {
        "open_ms": "first snapshot of the dashboard",
        "first_page_ms": "first 100 conversations",
        "middle_page_ms": "100 in the middle",
        "last_page_ms": "last 100",
        "reward_page_ms": "100 best",
        "no_match_ms": "a filter that nothing matches",
        "conversation_ms": "turns of a conversation",
        "counts_ms": "counts of outcomes and usage",
        "newest_events_ms": "newest 1,000 events",
    }
    return told | {f"{title}, CPU ms": f"{look[name]:.1f}" for name, title in questions.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[104, 1000, 10_000])
    parser.add_argument("--turns", type=int, default=4, help="of the policy; even")
    parser.add_argument("--latency", default="none", help="of the mock, as simia's own is told")
    arguments = parser.parse_args()
    sizes = [size // GROUP * GROUP for size in arguments.sizes]
    columns = []
    for size in sizes:
        with running("rollouts_mock.py", arguments.latency) as mock:
            columns.append(rows(live(mock, size, arguments.turns), size))
        print(f"{size:,} done", file=sys.stderr, flush=True)
    print("| conversations |", " | ".join(f"{size:,}" for size in sizes), "|")
    print("|---" * (len(sizes) + 1) + "|")
    for title in columns[0]:
        print("|", title, "|", " | ".join(column[title] for column in columns), "|")


if __name__ == "__main__":
    main()
