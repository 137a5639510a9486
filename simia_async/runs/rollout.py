"""A run of rollouts: groups of conversations, played, judged and stored; it may go on."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import MetricRecord

from simia_async.config import RolloutConfig
from simia_async.environments import Environment, Task
from simia_async.messages import Message
from simia_async.models import check_adapter
from simia_async.rollouts.conversation import Outcome, Setting, run_rollout
from simia_async.rollouts.groups import GroupPlan, PlayRollout, run_group
from simia_async.rollouts.scheduler import Group
from simia_async.rollouts.stop_reason import StopReason
from simia_async.runs.groups_abroad import Troupe, open_troupe
from simia_async.runs.keeping import keep_for_sft
from simia_async.runs.plot import Plot, read_plot
from simia_async.runs.rollout_recall import Recalled, recall
from simia_async.runs.rollout_settings import check_consistent
from simia_async.runs.rollout_tally import RolloutProgress, RolloutResult, Tally
from simia_async.runs.shipping import check_is_data
from simia_async.runs.staffing import check_places, check_ray, is_staffed
from simia_async.runs.stage import Stage, open_stage
from simia_async.supervision.service import Report


class PlayedRollout(msgspec.Struct, frozen=True):
    """One conversation as it ended."""

    id: int
    messages: Sequence[Message]
    """Without the system message; empty for one that an earlier session had ended."""
    stop_reason: StopReason
    reward: float | None
    """None where there is none; never 0 for that."""
    solved: bool | None


class PlayedGroup(msgspec.Struct, frozen=True):
    """G rollouts of one task."""

    id: int
    task: Task
    rollouts: list[PlayedRollout]


_UNTOLD = 16
"""Groups that may have ended before whoever listens has heard of them."""

OnGroup = Callable[[PlayedGroup], Awaitable[None]]


async def run_rollouts(
    config: RolloutConfig,
    path: Path,
    *,
    environment: Environment | None = None,
    tasks: Sequence[Task] | None = None,
    report: Report,
    on_progress: Callable[[RolloutProgress], None] = lambda _: None,
    on_group: OnGroup | None = None,
) -> RolloutResult:
    """Play every task `config.group_size` times. A run that was cut off goes on, mid-conversation.

    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    check_consistent(config, has_adapters=bool(config.adapter))
    if is_staffed(config):
        check_ray(config.ray)
        check_places(config.workers, _most_in_flight(config))
        if environment is not None:
            check_is_data(environment)
    plot = await anyio.to_thread.run_sync(
        read_plot, config, config.tasks, config.split, environment, tasks
    )
    adapters = {1: check_adapter(Path(config.adapter))} if config.adapter else {}
    async with open_stage(
        "rollout",
        config,
        path,
        plot.environment,
        plot.rubric,
        adapters=adapters,
        units=len(plot.tasks),
        report=report,
        may_continue=True,
    ) as stage:
        setting = stage.setting(max(adapters, default=0))
        return await _Rollouts(config, plot, stage, setting, report, on_progress, on_group).run()


class _Rollouts:
    """A run, from its first group to its last."""

    def __init__(
        self,
        config: RolloutConfig,
        plot: Plot,
        stage: Stage,
        setting: Setting,
        report: Report,
        on_progress: Callable[[RolloutProgress], None],
        on_group: OnGroup | None,
    ) -> None:
        self._config = config
        self._plot = plot
        self._stage = stage
        self._setting = setting
        self._store = stage.store
        self._report = report
        self._on_progress = on_progress
        self._on_group = on_group
        self._tally = Tally(len(plot.tasks) * config.group_size)
        self._telling = anyio.Lock()
        self._untold = 0

    async def run(self) -> RolloutResult:
        config, store, tasks = self._config, self._store, self._plot.tasks
        recalled = await anyio.to_thread.run_sync(recall, store.path, tasks, config.group_size)
        await self._stage.take_up(self._plot, recalled, config.group_size, self._report)
        self._tally.take_up(recalled.finished, tasks)
        async with self._troupe() as troupe:
            begun = await self._stage.scheduler.run(
                self._groups(recalled, troupe), lambda: self._untold < _UNTOLD
            )
        wanted = len(tasks) - len(recalled.done)
        kept = None
        if config.keep is not None:
            kept = await keep_for_sft(store, self._plot.environment, config.keep)
        return self._tally.result(
            store.path, budget_spent=begun < wanted, kept=kept, spending=self._stage.spent()
        )

    @asynccontextmanager
    async def _troupe(self) -> AsyncIterator[Troupe | None]:
        """The workers that hold the conversations; None where this process does."""
        if not is_staffed(self._config):
            yield None
            return
        version = self._setting.policy.version
        async with open_troupe(
            self._config, self._plot, self._stage, version, self._report
        ) as troupe:
            yield troupe

    def _groups(self, recalled: Recalled, troupe: Troupe | None) -> Iterator[Group]:
        for number, task in enumerate(self._plot.tasks, 1):
            if number not in recalled.done:
                plan = recalled.plan(number, task, self._config.group_size, self._config.seed)
                yield partial(self._play, plan, troupe)

    async def _play(
        self, plan: GroupPlan, troupe: Troupe | None, placed: Callable[[], None]
    ) -> None:
        async with _place_of(plan, troupe) as play:
            outcomes = await run_group(
                plan,
                self._setting,
                self._count,
                slot=self._stage.scheduler.slot,
                placed=placed,
                play=play,
            )
        played = _played(plan, outcomes)
        rewards = [r.reward for r in played.rollouts if r.reward is not None]
        if rewards and not (plan.record and plan.record.rewards):
            mean = sum(rewards) / len(rewards)
            await self._store.append(MetricRecord(plan.id, "rollout/reward_mean", mean))
        if self._on_group is not None:
            self._untold += 1
            # One after the other: whoever listens need not be re-entrant.
            async with self._telling:
                await self._on_group(played)
            self._untold -= 1

    def _count(self, outcome: Outcome) -> None:
        self._stage.watch(outcome)
        self._tally.count(outcome)
        active = self._stage.scheduler.statistics().active
        self._on_progress(self._tally.progress(active, self._stage.spent()))


@asynccontextmanager
async def _place_of(plan: GroupPlan, troupe: Troupe | None) -> AsyncIterator[PlayRollout]:
    """Where a group is played."""
    if troupe is None:
        yield run_rollout
        return
    async with troupe.group(plan) as group:
        yield group.play


def _most_in_flight(config: RolloutConfig) -> list[int]:
    """Calls that each of the endpoints takes at once."""
    own = [config.user_endpoint, config.tool_endpoint, config.judge_endpoint]
    named = [each.max_in_flight for each in own if each.max_in_flight is not None]
    policy = config.policy.max_in_flight
    if config.policy.model is None and not config.policy.base_url:
        policy = min(policy, config.concurrency)  # the embedded engine's
    return [config.simulator.max_in_flight, policy, *named]


def _played(plan: GroupPlan, outcomes: list[Outcome]) -> PlayedGroup:
    rollouts = [
        PlayedRollout(o.trajectory_id, list(o.messages), o.stop_reason, o.reward, o.solved)
        for o in outcomes
    ]
    rollouts += [
        PlayedRollout(
            number,
            [],
            StopReason(str(member.record.stop_reason)),
            member.record.reward,
            member.record.detail.get("solved"),
        )
        for number, member in plan.members.items()
        if member.is_done
    ]
    return PlayedGroup(plan.id, plan.task, sorted(rollouts, key=lambda rollout: rollout.id))
