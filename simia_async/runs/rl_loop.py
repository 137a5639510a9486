"""The loop of RL: groups are played on the newest policy, and each step trains on its own.

Rollouts and training overlap as far as `max_staleness` allows: a group of step s may begin when
step s − 1 − `max_staleness` is trained. So no sample is staler than that when it is learnt from.
"""

import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import AdapterRecord, MetricRecord, Reader

from simia_async.config import GrpoConfig
from simia_async.environments import Task
from simia_async.errors import ChildFailed, EndpointError, single_error
from simia_async.judging import dropped_criteria
from simia_async.rollouts.conversation import Outcome, Setting
from simia_async.rollouts.groups import GroupPlan, run_group
from simia_async.rollouts.scheduler import Group
from simia_async.runs.audit import Audit
from simia_async.runs.plot import Plot
from simia_async.runs.rl_alarms import Alarms
from simia_async.runs.rl_evaluation import SOLVED, HeldOut, evaluate_version
from simia_async.runs.rl_measures import measure_step
from simia_async.runs.rl_stepping import Stepping
from simia_async.runs.rollout_recall import Recalled
from simia_async.runs.stage import Stage
from simia_async.supervision.frames import Metrics, Published, TrainGrpo
from simia_async.supervision.process import ChildProcess
from simia_async.supervision.service import Report

_IDS_OF_ROLLOUTS = 10**9
"""Up to here trajectories are numbered by their groups; evaluation's come after."""


class RlStep(msgspec.Struct, frozen=True):
    """One step of RL as it went. `values` holds everything that was measured, by name."""

    step: int
    policy_version: int
    """Version that the step published."""
    reward_mean: float | None
    """Over the rollouts that have a reward; None if none has."""
    values: dict[str, float]
    adapter: Path
    """Where it is."""
    held_out: HeldOut | None = None
    """Scores of that version on held-out tasks, where it was evaluated."""

    @property
    def loss(self) -> float:
        """The step's loss."""
        return self.values["loss"]


OnStep = Callable[[RlStep], Awaitable[None]]


class RlProgress(msgspec.Struct, frozen=True):
    """How far the run is."""

    step: int
    """The one that is being played or trained."""
    steps: int
    rollouts_done: int
    rollouts: int


class RlLoop:
    """The steps of one run. `run` it once."""

    def __init__(
        self,
        config: GrpoConfig,
        plot: Plot,
        held_out: Sequence[Task],
        stage: Stage,
        trainer: ChildProcess,
        audit: Audit | None,
        report: Report,
        on_progress: Callable[[RlProgress], None],
        on_step: OnStep,
    ) -> None:
        self.steps: list[RlStep] = []
        """Those that were taken in this session."""
        self.taken = 0
        """Steps that are trained, in whatever session."""
        self.published: list[AdapterRecord] = []
        self.collapsed: str | None = None
        """What ended the run if the policy collapsed."""
        self._config = config
        self._plot = plot
        self._held_out = held_out
        self._stage = stage
        self._trainer = trainer
        self._audit = audit
        self._on_progress = on_progress
        self._on_step = on_step
        self._tasks = {task.id: task for task in plot.tasks}
        self._newest = 0
        """Version that groups are pinned to when they begin."""
        self._start = 0
        """Version that the run began with."""
        self._upcoming: deque[GroupPlan] = deque()
        self._missing: Counter[int] = Counter()
        """Groups of a step that have not ended."""
        self._pinned: Counter[int] = Counter()
        """Groups under way on a version."""
        # What is learnt from is what was sampled: an endpoint's own default would not be known.
        temperature = config.policy.temperature
        self._temperature = 1.0 if temperature is None else temperature
        self._done = 0
        self._played_out = False
        """Whether no further group begins."""
        self._changed = anyio.Event()
        self._alarms = Alarms(stage.store, report)
        self._stepping = Stepping(stage)
        self._resume_from: str | None = None
        self._solved: dict[int, float] = {}
        """Share of the held-out tasks that were solved after a step."""

    @property
    def best(self) -> Path:
        """The adapter that solved most held-out tasks, the last one if none were tried."""
        best = max(self._solved, key=lambda step: self._solved[step], default=self.taken)
        return next(Path(adapter.path) for adapter in self.published if adapter.step == best)

    async def run(self, recalled: Recalled, published: list[AdapterRecord], newest: int) -> None:
        """Go on after what earlier sessions have `published`, on version `newest`."""
        self.published = [adapter for adapter in published if adapter.step]
        self.taken = max((adapter.step for adapter in published), default=0)
        self._stage.store.keep_ids_free(_IDS_OF_ROLLOUTS)
        self._newest = newest
        self._start = newest - self.taken
        if self.taken:
            self._resume_from = self.published[-1].path
        self._plan(recalled)
        self._stepping.begin(self.taken + 1, self._config.steps, self.published)
        await self._catch_up()
        await self._alarms.recall()
        async with anyio.create_task_group() as both:
            both.start_soon(self._play)
            await self._train_all()
            both.cancel_scope.cancel()

    async def _catch_up(self) -> None:
        """Evaluate what an earlier session was cut off in evaluating."""
        with Reader(self._stage.store.path) as reader:
            self._solved = {metric.step: metric.value for metric in reader.metrics(SOLVED)}
        if self.taken and self.taken not in self._solved:
            await self._evaluate(self.taken, self._newest)

    def _plan(self, recalled: Recalled) -> None:
        """Line up the groups that are still to be played."""
        config = self._config
        self._done = len(recalled.finished)
        for number, task in enumerate(self._plot.tasks, 1):
            step = (number - 1) // config.groups + 1
            if step <= self.taken or number in recalled.done:
                continue
            plan = recalled.plan(number, task, config.group_size, config.seed, step)
            self._upcoming.append(plan)
            self._missing[step] += 1

    async def _play(self) -> None:
        await self._stage.scheduler.run(self._groups(), self._may_begin)
        self._played_out = True
        self._tell()

    def _groups(self) -> Iterator[Group]:
        while self._upcoming:
            yield partial(self._play_group, self._upcoming.popleft())

    def _may_begin(self) -> bool:
        """Whether the next group would be fresh enough when it is learnt from."""
        if not self._upcoming:
            return True
        step = self._upcoming[0].step
        if self._stepping.is_last and step > self._stepping.step:
            return False
        return step - 1 - self.taken <= self._config.max_staleness

    async def _play_group(self, plan: GroupPlan, placed: Callable[[], None]) -> None:
        version = plan.record.policy_version if plan.record else self._newest
        self._pinned[version] += 1
        try:
            await run_group(
                plan,
                self._setting(plan, version),
                self._count,
                slot=self._stage.scheduler.slot,
                placed=placed,
            )
        finally:
            self._pinned[version] -= 1
        self._missing[plan.step] -= 1
        self._tell()
        await self._let_go()

    def _setting(self, plan: GroupPlan, version: int) -> Setting:
        setting, config = self._stage.setting(version, self._temperature), self._config
        if not config.rubric_dropout:
            return setting
        criteria = self._plot.rubric.criteria_of(plan.task)
        dropped = dropped_criteria(criteria, config.rubric_dropout, config.seed, plan.id)
        return msgspec.structs.replace(setting, judge=setting.judge.without(dropped))

    def _count(self, outcome: Outcome) -> None:
        self._stage.watch(outcome)
        self._done += 1
        self._tell_progress()

    def _tell_progress(self) -> None:
        config = self._config
        total = config.steps * config.groups * config.group_size
        step = min(self.taken + 1, config.steps)
        self._on_progress(RlProgress(step, config.steps, self._done, total))

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _train_all(self) -> None:
        for step in range(self.taken + 1, self._config.steps + 1):
            self._stepping.begin(step, self._config.steps, self.published)
            waited = time.monotonic()
            if not await self._is_played(step):
                return
            await self._take(step, time.monotonic() - waited)
            if self.collapsed:
                return
            self._stepping.end()

    async def _is_played(self, step: int) -> bool:
        """Wait for the groups of a step; False if the budget let none of them begin."""
        while self._missing[step] and not self._played_out:
            await self._changed.wait()
        return self._missing[step] < self._config.groups

    async def _take(self, step: int, waited_s: float) -> None:
        """One step: measure, train, publish, evaluate."""
        store, version = self._stage.store, self._start + step
        values = await anyio.to_thread.run_sync(
            measure_step, store.path, step, self._tasks, version - 1
        )
        if "reward_mean" not in values:
            raise EndpointError(
                f"none of the {values['rollouts']:.0f} rollouts of step {step} got a reward; "
                "`simia report` says why"
            )
        values |= {"waited_seconds": waited_s}
        audited: dict[str, float] = {}
        with single_error():
            async with anyio.create_task_group() as beside:
                if self._audit is not None:
                    beside.start_soon(self._audit.measure, step, self._tasks, audited)
                adapter, trained = await self._train(step, version)
        # All of a step or nothing: what is not written down is taken again.
        await store.append(
            *(MetricRecord(step, f"rollout/{name}", value) for name, value in values.items()),
            *(MetricRecord(step, f"train/{name}", value) for name, value in trained.items()),
            *(MetricRecord(step, name, value) for name, value in audited.items()),
            adapter,
        )
        self.published.append(adapter)
        await self._stage.host.load(version, Path(adapter.path))
        self.taken, self._newest = step, version
        self._stage.scheduler.look_again()
        await self._let_go()
        held_out = await self._evaluate(step, version)
        self.steps.append(
            RlStep(
                step,
                version,
                values.get("reward_mean"),
                {**values, **trained, **audited},
                Path(adapter.path),
                held_out,
            )
        )
        await self._on_step(self.steps[-1])
        warning = await self._alarms.look(step, self.steps[-1].values)
        if self._config.stop_on_collapse:
            self.collapsed = warning

    async def _train(self, step: int, version: int) -> tuple[AdapterRecord, dict[str, float]]:
        """Have the trainer take one step on what the store holds."""
        command = TrainGrpo(
            str(self._stage.store.path),
            msgspec.to_builtins(self._config),
            step,
            version,
            self._resume_from,
        )
        self._resume_from = None
        values: dict[str, float] = {}
        try:
            await self._trainer.send(command)
            while True:
                match await self._trainer.receive():
                    case Metrics(values=measured):
                        values = measured
                    case Published() as frame:
                        return AdapterRecord(version, frame.path, frame.parent, step), values
        except ChildFailed as error:
            raise ChildFailed(
                f"{error}, in step {step} of {self._config.steps}; its rollouts are stored"
            ) from error

    async def _evaluate(self, step: int, version: int) -> HeldOut | None:
        config = self._config
        if not config.eval_every or (step % config.eval_every and step != config.steps):
            return None
        held_out = await evaluate_version(self._stage, self._held_out, step, version, config.seed)
        self._solved[step] = held_out.solved
        return held_out

    async def _let_go(self) -> None:
        """Unload the versions that no group is pinned to any more."""
        for version in self._stale_versions():
            await self._stage.host.unload(version)

    def _stale_versions(self) -> Iterable[int]:
        waiting = {plan.record.policy_version for plan in self._upcoming if plan.record}
        return [
            version
            for version in self._stage.host.versions
            if version < self._newest and not self._pinned[version] and version not in waiting
        ]
