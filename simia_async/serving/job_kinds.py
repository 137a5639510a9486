"""What the process of a job does, by the kind of its run."""

import os
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
from simia_store.replication import copy_run

import simia_async
from simia_async.config import (
    AgreementConfig,
    FidelityConfig,
    RunKind,
    TasksConfig,
    configure,
    keywords_layer,
)
from simia_async.errors import ChildFailed, UsageError
from simia_async.runs.agreement import plan_agreement, run_agreement
from simia_async.runs.fidelity import plan_fidelity, run_fidelity
from simia_async.runs.tasks import run_tasks
from simia_async.serving.jobs import Job, JobDirectory
from simia_async.supervision.service import Report

Doing = Callable[[Job, JobDirectory, Report], Awaitable[None]]


async def do(job: Job, directory: JobDirectory, report: Report) -> None:
    """Do the run to its end. Raises `SimiaError`; `ChildFailed` also where some of its work is left
    that another process may do.
    """
    await _KINDS[job.kind](job, directory, report)


async def _generate(job: Job, directory: JobDirectory, report: Report) -> None:
    await simia_async.generate(run=directory.database, report=report, **job.settings)


async def _tasks(job: Job, directory: JobDirectory, report: Report) -> None:
    config = configure(TasksConfig, keywords_layer(TasksConfig, job.settings))
    result = await run_tasks(config, directory.database, directory.tasks, report=report)
    if result.out is None:
        raise UsageError(f"no task was made: {result.failed} drafts could not be used")
    if result.failed:
        report(f"{result.failed} conversations gave no task")


async def _rollout(job: Job, directory: JobDirectory, report: Report) -> None:
    played = simia_async.rollout(run=directory.database, report=report, **job.settings)
    await _to_the_end(played)


async def _judge(job: Job, directory: JobDirectory, report: Report) -> None:
    """A copy of the run is judged, so that two jobs never own one record."""
    await anyio.to_thread.run_sync(_copy_once, Path(job.data[0]), directory)
    result = await simia_async.judge(directory.database, report=report, **job.settings)
    _all_done(result.judged, result.wanted, result.budget_spent)


async def _sft(job: Job, directory: JobDirectory, report: Report) -> None:
    await simia_async.train_sft(
        list(job.data) or None,
        run=directory.database,
        out=directory.adapters,
        report=report,
        **job.settings,
    )


async def _rl(job: Job, directory: JobDirectory, report: Report) -> None:
    steps = simia_async.train_rl(
        run=directory.database, out=directory.adapters, report=report, **job.settings
    )
    await _to_the_end(steps)


async def _evaluate(job: Job, directory: JobDirectory, report: Report) -> None:
    await simia_async.evaluate(run=directory.database, report=report, **job.settings)


async def _luck(job: Job, directory: JobDirectory, report: Report) -> None:
    result = await simia_async.measure_luck(
        rollouts=next(iter(job.data), None), run=directory.database, report=report, **job.settings
    )
    _all_done(result.replayed, result.wanted, result.budget_spent)


async def _fidelity(job: Job, directory: JobDirectory, report: Report) -> None:
    config = configure(FidelityConfig, keywords_layer(FidelityConfig, job.settings))
    plan = await anyio.to_thread.run_sync(plan_fidelity, config, directory.database)
    result = await run_fidelity(plan, report=report)
    _all_done(result.wanted - result.failed, result.wanted, result.budget_spent)


async def _agreement(job: Job, directory: JobDirectory, report: Report) -> None:
    config = configure(AgreementConfig, keywords_layer(AgreementConfig, job.settings))
    plan = await anyio.to_thread.run_sync(plan_agreement, config, directory.database)
    result = await run_agreement(plan, report=report)
    _all_done(result.wanted - result.failed, result.wanted, result.budget_spent)


_KINDS: Mapping[RunKind, Doing] = {
    "generate": _generate,
    "tasks": _tasks,
    "rollout": _rollout,
    "judge": _judge,
    "sft": _sft,
    "rl": _rl,
    "eval": _evaluate,
    "luck": _luck,
    "fidelity": _fidelity,
    "agreement": _agreement,
}


def _all_done(done: int, wanted: int, budget_spent: bool) -> None:
    """Raise `ChildFailed` where more is to be had by asking again."""
    if done < wanted and not budget_spent:
        raise ChildFailed(f"{wanted - done} of {wanted} were not answered; they are asked again")


def _copy_once(source: Path, directory: JobDirectory) -> None:
    if not directory.database.exists():
        partial = directory.path / f".{directory.database.name}.partial"
        partial.unlink(missing_ok=True)
        copy_run(source, partial)
        os.replace(partial, directory.database)


async def _to_the_end(stream: AsyncIterable[Any]) -> None:
    async for _ in stream:
        pass
