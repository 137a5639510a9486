"""One phase in the life of a run, measured in a process of its own.

    python -m benchmarks.growth_phases PHASE RUN URL CONVERSATIONS TURNS

Prints its figures as a line of JSON. What they are stands in `growth.py`.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simia_store import Browser, Match
from simia_tui.feed import Feed

from benchmarks.rollout_tasks import ENVIRONMENT, name_of, task_of
from simia_async.config import Endpoint, PolicyEndpoint, RolloutConfig
from simia_async.runs.rollout import run_rollouts
from simia_async.runs.rollout_recall import recall
from simia_async.speed import run_fast
from simia_async.synthesis.export import export

GROUP, CONCURRENCY = 8, 256
"""What a run has by default."""
PAGE, ROUNDS = 100, 5
Figures = dict[str, float]


class Life:
    """A run of so many conversations, and what is done with it."""

    def __init__(self, run: Path, url: str, conversations: int, turns: int) -> None:
        self._run = run
        self._url = url
        self._conversations = conversations
        groups = conversations // GROUP
        self._tasks = [task_of(name_of(number, turns)) for number in range(groups)]

    def _play(self, keep: float | None = None) -> None:
        limits = {"max_in_flight": CONCURRENCY, "api_key_env": "", "base_url": self._url}
        config = RolloutConfig(
            environment=ENVIRONMENT.name,
            group_size=GROUP,
            concurrency=CONCURRENCY,
            keep=keep,
            policy=PolicyEndpoint(model="policy", **limits),
            simulator=Endpoint(model="world", **limits),
        )
        played = run_fast(_rollouts, config, self._run, self._tasks)
        if played.scored != self._conversations:
            raise SystemExit(f"{played.scored} of {self._conversations} have a reward")

    def play(self) -> Figures:
        """All of it, from the first to the last conversation."""
        self._play()
        files = [self._run, self._run.with_name(self._run.name + "-wal")]
        stored = sum(each.stat().st_size for each in files if each.exists())
        return {"store_mb": stored / 1e6}

    def resume(self) -> Figures:
        """The same command again: nothing is left to be played."""
        recall_ms = _ms(lambda: recall(self._run, self._tasks, GROUP), rounds=1)
        self._play()
        return {"recall_ms": recall_ms}

    def keep(self) -> Figures:
        """The same with `--keep 1`: the rules go over every conversation."""
        self._play(keep=1.0)
        return {}

    def export(self) -> Figures:
        """What was kept, as a data set."""
        out = self._run.with_name("export")
        return {"exported": export(self._run, out).count}

    def look(self) -> Figures:
        """What the dashboard and scripts ask of the finished run, in milliseconds of CPU."""
        figures = {"open_ms": _ms(lambda: Feed(self._run).poll())}
        with Browser(self._run) as browser:
            last = browser.matching(1, descending=True).rows[0]
            middle = browser.trajectory(self._conversations // 2)
            none = [Match("stop", "=", "simulator_error")]
            questions: dict[str, Callable[[], Any]] = {
                "first_page": lambda: browser.matching(PAGE),
                "last_page": lambda: browser.matching(PAGE, descending=True),
                "middle_page": lambda: browser.matching(PAGE, after=middle),
                "reward_page": lambda: browser.matching(PAGE, order="reward", descending=True),
                "no_match": lambda: browser.matching(PAGE, none),
                "conversation": lambda: browser.turns(last.id),
                "counts": lambda: (browser.outcomes(), browser.usage()),
                "newest_events": lambda: browser.events_after(browser.newest_event() - 1000),
            }
            for name, question in questions.items():
                figures[f"{name}_ms"] = _ms(question)
        return figures


async def _rollouts(config: RolloutConfig, run: Path, tasks: Any) -> Any:
    return await run_rollouts(config, run, environment=ENVIRONMENT, tasks=tasks, report=print)


def _ms(question: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Median milliseconds of CPU time of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        question()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1000


def _peak_mb() -> float:
    """Of this process alone; `ru_maxrss` would count that of the one it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    phase, run, url, conversations, turns = sys.argv[1:]
    life = Life(Path(run), url, int(conversations), int(turns))
    began, cpu = time.perf_counter(), time.process_time()
    figures: Figures = getattr(life, phase)()
    figures |= {
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": _peak_mb(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
