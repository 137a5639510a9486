"""What is measured inside each player's process; it needs nothing but the standard library.

Run a player as `python play_….py URL CONVERSATIONS TURNS MATERIAL SCRATCH`; its last line is JSON.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conversation import Material, names

_TICK_S = 0.01


class Job:
    """The arguments of the command line."""

    def __init__(self) -> None:
        self.url = sys.argv[1]
        self.conversations, self.turns = map(int, sys.argv[2:4])
        self.material = Material(Path(sys.argv[4]))
        self.scratch = Path(sys.argv[5])
        """A directory for what is stored."""
        self.names = names(self.conversations, self.turns)
        self.warm_up = ["C-99999-2"]
        """What is played before time is measured, so that whatever is made at first use is made."""


class Stopwatch:
    """Started after the warm-up, so that no start-up is spread over the turns."""

    def __init__(self) -> None:
        self.start_cpu_s = _cpu_s()
        self._wall = time.perf_counter()
        self._lags: list[float] = []

    @asynccontextmanager
    async def watching_lag(self) -> AsyncIterator[None]:
        """Sample, on this event loop, how much later than asked a sleep of 10 ms ends."""
        watch = asyncio.create_task(self.watch_lag())
        try:
            yield
        finally:
            watch.cancel()

    def watch_loops_to_come(self) -> None:
        """The same on every event loop that is made from now on, where a player makes its own."""
        asyncio.set_event_loop_policy(_WatchedLoops(self))

    async def watch_lag(self) -> None:
        """Sample until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self._lags.append(time.perf_counter() - began - _TICK_S)

    def report(self, version: str, completed: int, **more: float) -> None:
        """Print what it came to; `completed` conversations have a reward."""
        wall_s, cpu_s = time.perf_counter() - self._wall, _cpu_s() - self.start_cpu_s
        lags = sorted(self._lags)
        result = {
            "version": version,
            "completed": completed,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "start_cpu_s": self.start_cpu_s,
            "peak_mb": _peak_mb(),
            "lag_p99_s": lags[len(lags) * 99 // 100] if lags else None,
            **more,
        }
        print(json.dumps(result), flush=True)


class _WatchedLoops(asyncio.DefaultEventLoopPolicy):
    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self._stopwatch = stopwatch

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Called by `asyncio.run`, which cancels what still runs at its end."""
        loop = super().new_event_loop()
        loop.create_task(self._stopwatch.watch_lag())
        return loop


def _cpu_s() -> float:
    """Of this process, its threads, and its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _peak_mb() -> float:
    """Of this process alone; `ru_maxrss` would count that of the one it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
