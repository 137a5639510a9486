"""A run of rollouts that goes on until it is killed: python rollout_live.py URL TASKS TURNS STORE
CONCURRENCY.

Conversations begin as others end, so that as many as are allowed are always under way.
"""

from pathlib import Path

from rollout_talk import Job

from benchmarks.rollout_tasks import ENVIRONMENT
from simia_async.config import Endpoint, PolicyEndpoint, RolloutConfig
from simia_async.runs.rollout import run_rollouts
from simia_async.speed import run_fast


async def main() -> None:
    job = Job()
    store, concurrency = job.more
    limits = {"max_in_flight": int(concurrency), "api_key_env": "", "base_url": job.url}
    config = RolloutConfig(
        environment=ENVIRONMENT.name,
        group_size=1,
        concurrency=int(concurrency),
        policy=PolicyEndpoint(model="policy", **limits),
        simulator=Endpoint(model="world", **limits),
    )
    await run_rollouts(
        config, Path(store), environment=ENVIRONMENT, tasks=job.tasks(), report=print
    )


run_fast(main)
