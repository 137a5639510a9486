"""How long the dashboard takes to show a run: python benchmarks/tui_start.py RUN [STARTS].

It is started in a terminal of its own, again and again. Told are the medians of the time, and of
the time of a CPU, from the end of the interpreter's start-up to the first frame and to the run's
figures.
"""

import os
import statistics
import sys
import time
from pathlib import Path

from tui_terminal import Terminal

STARTS = 15
WITHIN_S = 30.0
_LAUNCH = """
import os, sys, time
os.write(int(sys.argv.pop()), b"%d %d" % (time.monotonic_ns(), time.process_time_ns()))
from simia_tui.cli import run
run()
"""
SEEN = {"first frame": b"Rollouts", "the run's figures": b"in flight"}


def start(run: Path) -> dict[str, tuple[float, float]]:
    """Seconds and seconds of a CPU until each of `SEEN` stands on the screen."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", _LAUNCH, str(run), str(writing)]
    with Terminal(command, 120, 40, keep=(writing,)) as terminal:
        os.close(writing)
        began_ns, used_ns = map(int, os.read(reading, 100).split())
        os.close(reading)
        found = {}
        for name, text in SEEN.items():
            terminal.read_until(text, WITHIN_S)
            passed = (time.monotonic_ns() - began_ns) / 1e9
            found[name] = passed, terminal.cpu_s() - used_ns / 1e9
        terminal.write(b"q")
        terminal.wait(WITHIN_S)
    return found


def main() -> None:
    run = Path(sys.argv[1])
    starts = int(sys.argv[2]) if len(sys.argv) > 2 else STARTS
    start(run)  # what is read from the disk is in memory afterwards
    found = [start(run) for _ in range(starts)]
    for name in SEEN:
        passed, used = zip(*(each[name] for each in found), strict=True)
        print(
            f"{name}: {statistics.median(passed) * 1000:.0f} ms (least {min(passed) * 1000:.0f}), "
            f"{statistics.median(used) * 1000:.0f} ms of a CPU (least {min(used) * 1000:.0f})"
        )


if __name__ == "__main__":
    main()
