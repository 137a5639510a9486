"""`run_generate`, end to end: `python pipeline_ours.py URL N`; prints one line of JSON.

What awaits has no clock of its own: calls are timed alone afterwards, on the same prompts.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from concurrency import watch_lag
from pipeline_parts import Parts
from pipeline_work import IN_FLIGHT, Prompts, config_of, material_of
from simia_store import Reader
from stacks.shape import stopwatch

from simia_async.clients import ChatClient
from simia_async.messages import Message
from simia_async.runs import generate, harvest
from simia_async.runs.generate import run_generate
from simia_async.simulation import simulator
from simia_async.speed import run_fast
from simia_async.synthesis.plans import Plan, plans

WARM_UP = 20


def watched() -> Parts:
    """The parts of a run that do not wait."""
    parts = Parts()
    parts.watch("prompt", simulator, "compose")
    parts.watch("reading the draft", simulator, "read_draft")
    parts.watch("rules", generate, "apply_rules")
    parts.watch("fingerprint and sketch", harvest, "fingerprint")
    parts.watch("fingerprint and sketch", harvest, "sketch")
    parts.watch("records and duplicates", harvest.Harvest, "end")
    parts.watch("records and duplicates", harvest.Harvest, "arrive")
    return parts


async def run(url: str, n: int, path: Path) -> int:
    """A run; how many are kept."""
    result = await run_generate(config_of(url, n), path, report=lambda _: None)
    return result.kept


async def main(url: str, n: int) -> dict[str, Any]:
    lags: list[float] = []
    parts = watched()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.db"
        await run(url, WARM_UP, Path(directory) / "warm.db")
        parts.clear()
        watch = asyncio.create_task(watch_lag(lags))
        elapsed = stopwatch()
        kept = await run(url, n, path)
        cpu_s, wall_s = elapsed()
        watch.cancel()
        with Reader(path) as reader:
            said = {record.source: record.sample for record in reader.statistics()}
    cpu_by_part = {
        **parts.sums(),
        "store's writer": said["writer"]["cpu_s"],
        "client call": await calls_alone(url, n),
    }
    lag = statistics.quantiles(lags, n=100)
    lag_s = {"lag_p50_s": lag[49], "lag_p99_s": lag[98]}
    return {"kept": kept, "cpu_s": cpu_s, "wall_s": wall_s, "parts": cpu_by_part, **lag_s}


async def calls_alone(url: str, n: int) -> float:
    """CPU seconds of `n` calls, as many at once as in a run, with governor and ledger."""
    config, material = config_of(url, n), material_of(url)
    chosen = islice(plans(material.seeds, material.environment, config), n)
    prompts = Prompts(material.environment)
    asked = [(plan, prompts.prompt(plan)) for plan in chosen]
    async with ChatClient.connect(config.simulator) as client:

        async def work(mine: Iterable[tuple[Plan, list[Message]]]) -> None:
            for plan, prompt in mine:
                await client.chat(
                    prompt,
                    role="author",
                    ledger=[],
                    trajectory_id=plan.index,
                    fresh=True,
                    response_format={"type": "json_object"},
                    seed=plan.index,
                )

        await client.check()
        elapsed = stopwatch()
        await asyncio.gather(*(work(asked[first::IN_FLIGHT]) for first in range(IN_FLIGHT)))
        return elapsed()[0]


if __name__ == "__main__":
    print(json.dumps(run_fast(main, sys.argv[1], int(sys.argv[2]))))
