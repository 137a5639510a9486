"""Evaluation, end to end: base and adapters play the same tasks, each once or more."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import AdapterRecord, MetricRecord

from simia_async.config import EvalConfig
from simia_async.errors import BudgetSpent, ConfigError, UsageError
from simia_async.evaluation.contamination import Contamination, drop_contaminated
from simia_async.evaluation.paired import Comparison
from simia_async.evaluation.shares import PolicyScore, score_trials
from simia_async.models import check_adapter
from simia_async.rollouts.conversation import Outcome, Setting
from simia_async.rollouts.groups import GroupPlan, check_some_reward, run_group
from simia_async.rollouts.scheduler import Group
from simia_async.runs.comparison import compare, other_settings, read_baseline
from simia_async.runs.eval_record import Arm, Evaluation, read_evaluation
from simia_async.runs.held_out import read_held_out, store_score
from simia_async.runs.plot import Plot
from simia_async.runs.rollout_recall import Recalled, recall
from simia_async.runs.rollout_settings import check_consistent
from simia_async.runs.stage import Stage, open_stage
from simia_async.runs.training_data import read_training_data
from simia_async.runs.unwritten import unwritten_metrics
from simia_async.supervision.service import Report

_MOST_TASKS = 10_000
"""Seeds of a task's trials lie this far apart, so that one task is never sampled twice alike."""


class EvalResult(msgspec.Struct, frozen=True):
    """Scores, the base first, each policy at every temperature. Conversations stand in the database
    at `run`.
    """

    run: Path
    tasks: int
    scores: list[PolicyScore]
    split: str = "heldout"
    comparisons: list[Comparison] = []
    """Adapters with the base; then every policy with every one of the baseline's."""
    contamination: Contamination | None = None
    """What training data was found to hold; None where none was named."""


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
    """Play the tasks with every policy and count by the exact check. A run that was cut off goes
    on, mid-conversation.

    Raises `UsageError`, `StoreError`, `EndpointError`, `ChildFailed`, or `BudgetSpent` if the
    budget does not reach for all conversations: scores of fewer could not be compared with others.
    """
    check_consistent(config, has_adapters=bool(config.adapters))
    _check_together(config)
    plot, contamination = await anyio.to_thread.run_sync(_read_plot, config)
    baseline = None
    if config.baseline is not None:
        baseline = await anyio.to_thread.run_sync(
            read_baseline, Path(config.baseline), plot.environment, plot.tasks, config
        )
    adapters = {
        version: check_adapter(Path(adapter)) for version, adapter in enumerate(config.adapters, 1)
    }
    names = {0: config.policy.model or "base"} | {v: str(p) for v, p in adapters.items()}
    arms = [Arm(v, names[v], t) for v in names for t in dict.fromkeys(config.temperatures)]
    units = len(plot.tasks) * (config.trials or config.k) * len(arms)
    async with open_stage(
        "eval",
        config,
        path,
        plot.environment,
        plot.rubric,
        adapters=adapters,
        units=units,
        report=report,
        may_continue=True,
    ) as stage:
        for version, adapter in adapters.items():
            await stage.store.append(AdapterRecord(version, str(adapter), None, 0))
        if contamination is not None:
            counts = [
                MetricRecord(0, f"contamination/{n}", v) for n, v in contamination.counts.items()
            ]
            unwritten = await anyio.to_thread.run_sync(unwritten_metrics, path, counts)
            await stage.store.append(*unwritten)
        await _Playing(config, plot, arms, stage, report, on_progress).run()
        evaluation = await anyio.to_thread.run_sync(read_evaluation, path)
        return await _result(config, plot, arms, stage, evaluation, baseline, contamination, report)


def _check_together(config: EvalConfig) -> None:
    """Raise `ConfigError` for settings that contradict each other."""
    if config.trials is not None and config.trials < config.k:
        raise ConfigError(f"--trials: found {config.trials}; it must be at least -k, {config.k}")
    if config.leave_out != "none" and not config.check_against:
        raise ConfigError("--leave-out: also needs --check-against: what to look for tasks in")


def _read_plot(config: EvalConfig) -> tuple[Plot, Contamination | None]:
    """The tasks, each once, without those to be left out."""
    plot = read_held_out(config, config.tasks, config.split)
    tasks = list({task.id: task for task in plot.tasks}.values())
    contamination = None
    if config.check_against:
        texts = [
            text
            for place in config.check_against
            for text in read_training_data(Path(place), plot.environment)
        ]
        tasks, contamination = drop_contaminated(tasks, texts, config.similarity, config.leave_out)
    if not tasks:
        raise UsageError(
            f"--leave-out {config.leave_out}: training data holds all {len(plot.tasks)} tasks, so "
            "none is left to play; name other tasks or other training data"
        )
    return msgspec.structs.replace(plot, tasks=tasks), contamination


class _Playing:
    """Every task, every trial, every policy: one conversation each, in a world of its own.

    Conversations are numbered task by task, so that a run may go on with more tasks.
    """

    def __init__(
        self,
        config: EvalConfig,
        plot: Plot,
        arms: list[Arm],
        stage: Stage,
        report: Report,
        on_progress: Callable[[EvalProgress], None],
    ) -> None:
        self._config = config
        self._plot = plot
        self._arms = arms
        self._stage = stage
        self._report = report
        self._on_progress = on_progress
        self._trials = config.trials or config.k
        self._total = len(plot.tasks) * self._trials * len(arms)
        self._done = 0
        self._outcomes: dict[Arm, list[Outcome]] = {arm: [] for arm in arms}

    async def run(self) -> None:
        """Play what was not played yet."""
        stage = self._stage
        tasks = [task for task in self._plot.tasks for _ in range(self._trials * len(self._arms))]
        recalled = await anyio.to_thread.run_sync(recall, stage.store.path, tasks, 1)
        await stage.take_up(self._plot, recalled, 1, self._report)
        self._done = len(recalled.done)
        left = self._total - self._done
        begun = await stage.scheduler.run(self._conversations(recalled))
        if begun < left:
            raise BudgetSpent(
                f"the budget is spent after {self._total - left + begun} of {self._total} "
                "conversations; raise --max-cost-usd or --max-total-tokens and go on with "
                f"--run {stage.store.path}, or lower --tasks"
            )
        for arm, outcomes in self._outcomes.items():
            if outcomes:
                check_some_reward(outcomes, arm.policy)

    def _conversations(self, recalled: Recalled) -> Iterator[Group]:
        settings = {arm: self._stage.setting(arm.version, arm.temperature) for arm in self._arms}
        number = 0
        for at, task in enumerate(self._plot.tasks):
            for trial in range(self._trials):
                for arm in self._arms:
                    number += 1
                    if number in recalled.done:
                        continue
                    step = self._config.temperatures.index(arm.temperature)
                    plan = recalled.plan(number, task, 1, 0, step)
                    seed = self._config.seed * 1_000_000 + trial * _MOST_TASKS + at
                    plan = msgspec.structs.replace(plan, seed=seed)
                    yield partial(self._play, plan, arm, settings[arm])

    async def _play(
        self, plan: GroupPlan, arm: Arm, setting: Setting, placed: Callable[[], None]
    ) -> None:
        def count(outcome: Outcome) -> None:
            self._stage.watch(outcome)
            self._outcomes[arm].append(outcome)
            self._done += 1
            self._on_progress(EvalProgress(self._done, self._total))

        await run_group(plan, setting, count, slot=self._stage.scheduler.slot, placed=placed)


async def _result(
    config: EvalConfig,
    plot: Plot,
    arms: list[Arm],
    stage: Stage,
    played: Evaluation,
    baseline: Evaluation | None,
    contamination: Contamination | None,
    report: Report,
) -> EvalResult:
    """Count what stands in the record, and write the shares down."""
    wanted = {task.id for task in plot.tasks}
    ours = {arm: [task for task in played.arms[arm] if task.task_id in wanted] for arm in arms}
    scores = []
    for arm, trials in ours.items():
        scored = await anyio.to_thread.run_sync(
            score_trials, arm.policy, arm.temperature or 0.0, trials, config.k
        )
        await store_score(stage.store, arm.version, scored)
        scores.append(scored)
    comparisons = await anyio.to_thread.run_sync(compare, ours, ours, None, config.k)
    if baseline is not None:
        if other := other_settings(played.run.config, baseline.run.config):
            report(
                f"{config.baseline} was played with other settings ({', '.join(other)}): the "
                "difference is of those too"
            )
        comparisons += await anyio.to_thread.run_sync(
            compare, ours, baseline.arms, config.baseline, config.k
        )
    return EvalResult(
        stage.store.path, len(plot.tasks), scores, config.split, comparisons, contamination
    )
