"""A run of rollouts as users get it: grounded world, ledger, every turn stored on disk first. One
more argument is a number of workers, whose CPU time counts too.
"""

import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path

from rollout_talk import Job, Stopwatch, turns_stored
from simia_store import Reader, TrajectoryStatus

from benchmarks.rollout_tasks import ENVIRONMENT
from simia_async.config import Endpoint, PolicyEndpoint, RolloutConfig
from simia_async.runs.rollout import run_rollouts
from simia_async.runs.rollout_tally import RolloutProgress
from simia_async.speed import run_fast


async def watch_lag(lags: list[float]) -> None:
    """How much later than asked a sleep of 10 ms ends."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append(time.perf_counter() - started - 0.01)


def settings(job: Job) -> RolloutConfig:
    """A run with every conversation under way at once."""
    limits = {"max_in_flight": job.conversations, "api_key_env": "", "base_url": job.url}
    return RolloutConfig(
        environment=ENVIRONMENT.name,
        group_size=1,
        concurrency=job.conversations,
        workers=int(job.more[0]) if job.more else 0,
        policy=PolicyEndpoint(model="policy", **limits),
        simulator=Endpoint(model="world", **limits),
    )


def check_store(path: Path, job: Job) -> None:
    """Refuse a run that did not store every turn of every conversation, scored."""
    with Reader(path) as reader:
        scored = [each.id for each in reader.trajectories(status=TrajectoryStatus.SCORED)]
        stored = {len(reader.turns(number)) for number in scored}
    if len(scored) != job.conversations or stored != {turns_stored(job.turns)}:
        raise SystemExit(f"{len(scored)} of {job.conversations} scored, with turns {stored}")


async def main() -> None:
    job = Job()
    tasks, lags = job.tasks(), list[float]()
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path = Path(directory) / "bench.db"
        watch = asyncio.create_task(watch_lag(lags))
        stopwatch = Stopwatch()
        ended = 0

        def on_progress(progress: RolloutProgress) -> None:
            nonlocal ended
            stopwatch.ended(progress.done - ended)
            ended = progress.done

        await run_rollouts(
            settings(job),
            path,
            environment=ENVIRONMENT,
            tasks=tasks,
            report=print,
            on_progress=on_progress,
        )
        result = stopwatch.result(job)
        workers = resource.getrusage(resource.RUSAGE_CHILDREN)
        result["cpu_s"] += workers.ru_utime + workers.ru_stime
        watch.cancel()
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        check_store(path, job)
        job.report(result, lag_p99_s=statistics.quantiles(lags, n=100)[98], peak_mb=peak_mb)


run_fast(main)
