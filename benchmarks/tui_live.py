"""What the dashboard costs a live run: python benchmarks/tui_live.py, about 16 minutes.

One run with 2,000 conversations under way, against the mock of policy and world. It is left alone
and watched by turns, in stretches that alternate; a dashboard in a terminal of its own has another
pane open in each pair of them. Told are the run's time of a CPU per 1,000 turns that it stored,
with and without, and the dashboard's own.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from serving import HERE, running
from simia_store import Browser, StoreError
from tui_terminal import Terminal, cpu_seconds

TURNS, STORED = 8, 17
"""How often the policy speaks in a conversation, and how many turns are stored of it."""
SPREAD = 0.5
PANES = {"1": "Overview", "2f": "Rollouts, following", "4f": "Groups, following",
         "5": "Training", "6": "Endpoints", "7": "Errors", "8": "Simulator"}  # fmt: skip
"""Keys, and what they open."""
_SETTLE_S, _START_S = 2.0, 60.0
_DASHBOARD = "from simia_tui.cli import run; run()"


class Stretch(NamedTuple):
    """What a stretch of time came to."""

    turns: int
    run_cpu_s: float
    board_share: float = 0.0
    """Of a core."""

    @property
    def cost(self) -> float:
        """Milliseconds of a CPU for 1,000 turns."""
        return self.run_cpu_s / self.turns * 1e6


def turns_stored(path: Path) -> int:
    """How many turns the run has stored; 0 where it has not begun."""
    with suppress(StoreError), Browser(path) as browser:
        (count,) = browser._one("SELECT coalesce(max(id), 0) FROM turns")
        return int(count)
    return 0


def measured(path: Path, pid: int, wait: Callable[[], object]) -> Stretch:
    """The run while `wait` goes on."""
    turns, cpu_s = turns_stored(path), cpu_seconds(pid)
    wait()
    return Stretch(turns_stored(path) - turns, cpu_seconds(pid) - cpu_s)


def alone(path: Path, pid: int, seconds: float) -> Stretch:
    """A stretch in which nobody looks."""
    time.sleep(_SETTLE_S)
    return measured(path, pid, lambda: time.sleep(seconds))


def watched(path: Path, pid: int, seconds: float, keys: str) -> Stretch:
    """A stretch in which the pane that `keys` open is looked at."""
    with Terminal([sys.executable, "-c", _DASHBOARD, str(path)], 160, 48) as terminal:
        terminal.read_until(b"in flight", _START_S)
        for key in keys:
            terminal.write(key.encode())
            terminal.read_for(_SETTLE_S / len(keys))
        began, cpu_s = time.monotonic(), terminal.cpu_s()
        seen = measured(path, pid, lambda: terminal.read_for(seconds))
        share = (terminal.cpu_s() - cpu_s) / (time.monotonic() - began)
        terminal.write(b"q")
        terminal.wait(_START_S)
    return seen._replace(board_share=share)


def pair(path: Path, pid: int, seconds: float, keys: str, *, turned: bool) -> list[Stretch]:
    """A stretch alone and one watched, whichever was first."""
    if not turned:
        return [alone(path, pid, seconds), watched(path, pid, seconds, keys)]
    there = watched(path, pid, seconds, keys)
    return [alone(path, pid, seconds), there]


def warm(path: Path, process: "subprocess.Popen[bytes]", turns: int) -> None:
    """Wait until the run has stored so many turns."""
    while turns_stored(path) < turns:
        if process.poll() is not None:
            raise SystemExit("the run ended early")
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2, help="of a pair for each pane")
    parser.add_argument("--seconds", type=float, default=25.0, help="of a stretch")
    parser.add_argument("--latency", type=float, default=4.0, help="mean seconds of an answer")
    given = parser.parse_args()
    pairs: list[tuple[str, Stretch, Stretch]] = []
    with (
        tempfile.TemporaryDirectory(dir=".") as directory,
        running("rollouts_mock.py", f"lognormal:{given.latency},{SPREAD}") as mock,
    ):
        path = Path(directory) / "live.db"
        # More than can be played in the time there is.
        tasks = given.conversations * (20 if given.latency > 1 else 200)
        command = [sys.executable, str(HERE / "stacks" / "rollout_live.py"), mock.url, tasks, TURNS]
        command += [path, given.conversations]
        with subprocess.Popen(list(map(str, command))) as process:
            try:
                # By then conversations of every length are under way: long ones cost more.
                warm(path, process, given.conversations * STORED)
                for _ in range(given.rounds):
                    for keys in PANES:
                        turned = bool(len(pairs) % 2)
                        two = pair(path, process.pid, given.seconds, keys, turned=turned)
                        pairs.append((PANES[keys], *two))
                        tell(*pairs[-1])
            finally:
                process.kill()
    ratios = [there.cost / without.cost for _, without, there in pairs]
    print(f"\nmedian ratio {statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})")
    total = [sum(each[k].run_cpu_s for each in pairs) / sum(each[k].turns for each in pairs)
             for k in (1, 2)]  # fmt: skip
    print(f"all stretches together {total[1] / total[0]:.3f}")
    print(f"the dashboard: at most {max(pair[2].board_share for pair in pairs):.1%} of a core")


def tell(pane: str, without: Stretch, there: Stretch) -> None:
    """A line of the table."""
    print(
        f"{pane}: {without.turns:,} turns at {without.cost:.0f} ms of a CPU per 1,000 alone, "
        f"{there.turns:,} at {there.cost:.0f} ms watched ({there.cost / without.cost:.3f}×); "
        f"the dashboard took {there.board_share:.1%} of a core",
        flush=True,
    )


if __name__ == "__main__":
    main()
