"""Ours as users get it: `run_rollouts` with a grounded world, ledger and judge, each turn on disk
before the next call.
"""

import importlib.metadata
from pathlib import Path

from measure import Job, Stopwatch

from benchmarks.rollout_tasks import ENVIRONMENT, task_of
from simia_async.config import Endpoint, PolicyEndpoint, RolloutConfig
from simia_async.runs.rollout import run_rollouts
from simia_async.speed import run_fast


async def play(job: Job, names: list[str], path: Path) -> int:
    """How many have a reward."""
    limits = {"max_in_flight": job.conversations, "api_key_env": "", "base_url": job.url}
    config = RolloutConfig(
        environment=ENVIRONMENT.name,
        group_size=1,
        concurrency=job.conversations,
        policy=PolicyEndpoint(model="policy", **limits),
        simulator=Endpoint(model="world", **limits),
    )
    tasks = [task_of(name) for name in names]
    result = await run_rollouts(config, path, environment=ENVIRONMENT, tasks=tasks, report=print)
    return result.scored


async def main() -> None:
    job = Job()
    await play(job, job.warm_up, job.scratch / "warm-up.db")
    stopwatch = Stopwatch()
    async with stopwatch.watching_lag():
        completed = await play(job, job.names, job.scratch / "run.db")
    stopwatch.report(importlib.metadata.version("simia-async"), completed)


run_fast(main)
