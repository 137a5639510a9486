"""Held-out tasks inside training: read, played once each, and their shares written down."""

from collections.abc import Callable
from functools import partial

import anyio.to_thread
from simia_store import MetricRecord, Store

from simia_async.config import PlayConfig
from simia_async.environments import Split, Task
from simia_async.errors import BudgetSpent, UsageError
from simia_async.evaluation.shares import PolicyScore
from simia_async.models import policy_name
from simia_async.rollouts.conversation import Outcome, Seat, Setting, run_rollout
from simia_async.rollouts.groups import facts_of
from simia_async.runs.plot import Plot, read_plot
from simia_async.runs.stage import Stage
from simia_async.runs.unwritten import unwritten_metrics


def read_held_out(config: PlayConfig, count: int, split: Split = "heldout") -> Plot:
    """The tasks to evaluate on. Raises `UsageError`, also for tasks that nothing is counted by."""
    plot = read_plot(config, count, split)
    if any(task.check is None for task in plot.tasks):
        named = "held-out" if split == "heldout" else split
        raise UsageError(
            f"environment {plot.environment.name!r} has {named} tasks without an exact `check`, "
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
            number = stage.store.new_trajectory_id()
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
    found = [
        MetricRecord(number, f"eval/{name}{mark}", share.value)
        for name, share in shares.items()
        if share.total
    ]
    await store.append(*await anyio.to_thread.run_sync(unwritten_metrics, store.path, found))
