"""Held-out evaluation, end to end: base and adapters play the same tasks."""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import AdapterRecord, MetricRecord, Store

from simia_async.config import EvalConfig, PlayConfig
from simia_async.environments import Task
from simia_async.errors import BudgetSpent, UsageError
from simia_async.evaluation.shares import PolicyScore, score
from simia_async.models import check_adapter, policy_name
from simia_async.rollouts.conversation import Outcome, Seat, Setting, run_rollout
from simia_async.rollouts.groups import check_some_reward, facts_of
from simia_async.runs.plot import Plot, read_plot
from simia_async.runs.rollout_settings import check_consistent
from simia_async.runs.stage import Stage, open_stage
from simia_async.supervision.service import Report


class EvalResult(msgspec.Struct, frozen=True):
    """Scores, the base first, each policy at every temperature. Conversations stand in the database
    at `run`.
    """

    run: Path
    tasks: int
    scores: list[PolicyScore]


class EvalProgress(msgspec.Struct, frozen=True):
    """How far an evaluation is, in conversations."""

    done: int
    total: int


async def run_evaluate(
    config: EvalConfig,
    path: Path,
    *,
    report: Report,
    on_progress: Callable[[EvalProgress], None] = lambda _: None,
) -> EvalResult:
    """Play the held-out tasks with every policy and count by the exact check.

    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`.
    """
    check_consistent(config, has_adapters=bool(config.adapters))
    plot = await anyio.to_thread.run_sync(read_held_out, config, config.tasks)
    adapters = {
        version: check_adapter(Path(adapter)) for version, adapter in enumerate(config.adapters, 1)
    }
    base = config.policy.model or "base"
    names = {0: base} | {version: str(path) for version, path in adapters.items()}
    total = len(plot.tasks) * len(names) * len(config.temperatures)
    done = 0

    def count(_: Outcome) -> None:
        nonlocal done
        done += 1
        on_progress(EvalProgress(done, total))

    async with open_stage(
        "eval",
        config,
        path,
        plot.environment,
        plot.rubric,
        adapters=adapters,
        units=total,
        report=report,
    ) as stage:
        await stage.store.append(*(task.as_record() for task in plot.tasks))
        for version, adapter in adapters.items():
            await stage.store.append(AdapterRecord(version, str(adapter), None, 0))
        scores = []
        for (version, name), temperature in product(names.items(), config.temperatures):
            setting = stage.setting(version, temperature)
            outcomes = await play_all(plot.tasks, stage, setting, config.seed, count)
            check_some_reward(outcomes, name)
            scores.append(score(name, temperature, outcomes))
            await store_score(stage.store, version, scores[-1])
        return EvalResult(path, len(plot.tasks), scores)


def read_held_out(config: PlayConfig, count: int) -> Plot:
    """The held-out tasks. Raises `UsageError`, also for tasks that nothing can be counted by."""
    plot = read_plot(config, count, "heldout")
    if any(task.check is None for task in plot.tasks):
        raise UsageError(
            f"environment {plot.environment.name!r} has held-out tasks without an exact `check`, "
            "which is what evaluation counts by; add one to each task"
        )
    return plot


async def play_all(
    tasks: list[Task],
    stage: Stage,
    setting: Setting,
    seed: int,
    count: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Play every task once, each in a world of its own.

    Raises `BudgetSpent` if the budget does not reach for all of them: scores of fewer tasks could
    not be compared with others.
    """
    outcomes: list[Outcome] = []

    async def play(index: int, task: Task, placed: Callable[[], None]) -> None:
        async with stage.scheduler.slot():
            placed()
            number = setting.store.new_trajectory_id()
            seat = Seat(number, task, facts_of(None, task, setting), seed=seed * 1_000_000 + index)
            outcome = await run_rollout(setting, seat)
        stage.watch(outcome)
        outcomes.append(outcome)
        count(outcome)

    played = await stage.scheduler.run(partial(play, i, task) for i, task in enumerate(tasks))
    if played < len(tasks):
        raise BudgetSpent(
            f"the budget is spent after {played} of {len(tasks)} conversations with "
            f"{policy_name(setting.policy.version)}; raise --max-cost-usd or --max-total-tokens, "
            "or lower --tasks"
        )
    return outcomes


async def store_score(store: Store, number: int, scored: PolicyScore) -> None:
    """Write down the shares of a policy under its `number`: a version's, or a step's."""
    mark = f"@{scored.sampled}" if scored.temperature else ""
    shares = {"needs_action": scored.needs_action, "no_action": scored.no_action}
    await store.append(
        *(
            MetricRecord(number, f"eval/{name}{mark}", share.value)
            for name, share in shares.items()
            if share.total
        )
    )
