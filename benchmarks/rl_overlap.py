"""How much of RL's waiting overlap saves: the same run with each step waiting for its own rollouts,
and with the next ones played meanwhile.

    python -m benchmarks.rl_overlap

Of the run that waits: R, the seconds of a step's rollouts, T, those of its training, and L, the
rest (measuring, publishing, loading). At no cost of its own overlap is (R + L + T) / max(R, T)
times as fast. The simulator takes 300 ms an answer; processes share the cores that there are.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

import simia_async
from simia_async.config import Endpoint
from simia_async.runs.rl_loop import RlStep
from simia_async.testing import ScriptedServer

STEPS, ROUNDS = 7, 3
SETTINGS: dict[str, Any] = {"steps": STEPS, "groups": 8, "group_size": 8}


class Timed(msgspec.Struct, frozen=True):
    """Seconds of a step, medians over all but the first, in which everything starts."""

    step: float
    rollouts: float
    training: float


async def timed(run: Path, simulator: Endpoint, max_staleness: int) -> Timed:
    ends, steps = [], []
    told: AsyncIterator[RlStep] = simia_async.train_rl(
        run=run, simulator=simulator, max_staleness=max_staleness, **SETTINGS
    )
    async for step in told:
        ends.append(time.perf_counter())
        steps.append(step)
    between = [later - earlier for earlier, later in itertools.pairwise(ends)]
    waited = [step.values["waited_seconds"] for step in steps[1:]]
    training = [step.values["train_seconds"] for step in steps[1:]]
    return Timed(*(statistics.median(seconds) for seconds in (between, waited, training)))


async def main() -> None:
    shares = []
    async with ScriptedServer(latency="fixed:0.3") as server:
        simulator = Endpoint(base_url=server.base_url, model="scripted", api_key_env="")
        for number in range(ROUNDS):
            with tempfile.TemporaryDirectory() as place:
                waiting = await timed(Path(place) / "waiting.db", simulator, 0)
                overlapped = await timed(Path(place) / "overlapped.db", simulator, 1)
            longest = max(waiting.rollouts, waiting.training)
            ideal, reached = waiting.step / longest, waiting.step / overlapped.step
            shares.append(reached / ideal)
            rest = waiting.step - waiting.rollouts - waiting.training
            print(
                f"round {number + 1}: a step that waits {waiting.step:.2f} s "
                f"(R {waiting.rollouts:.2f}, T {waiting.training:.2f}, L {rest:.2f}), overlapped "
                f"{overlapped.step:.2f} s: {reached:.2f} times as fast, {shares[-1]:.0%} of "
                f"{ideal:.2f}"
            )
    print(f"median: {statistics.median(shares):.0%} of the ideal")


if __name__ == "__main__":
    asyncio.run(main())
