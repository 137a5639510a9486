"""A run of rollouts: groups of conversations, played, judged and stored; it may go on."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from simia_store import CANCEL, CONCURRENCY, PAUSE, RESUME, MetricRecord, Store

from simia_async.builtin.task_source import in_turn, tasks_of
from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import RoleEndpoint, RolloutConfig
from simia_async.environments import Environment, Task, load_environment, load_tasks
from simia_async.errors import EndpointError, EndpointRefused, UsageError
from simia_async.judging import Judge, Rubric, check_judgeable, choose_rubric
from simia_async.messages import Message
from simia_async.rollouts.chat_voice import ChatPolicy
from simia_async.rollouts.conversation import Outcome, Setting
from simia_async.rollouts.groups import GroupPlan, run_group
from simia_async.rollouts.scheduler import Group, Scheduler
from simia_async.rollouts.stop_reason import StopReason
from simia_async.rollouts.token_voice import TokenPolicy
from simia_async.runs.keeping import keep_for_sft
from simia_async.runs.obedience import Commands
from simia_async.runs.outage import OutageWatch
from simia_async.runs.policies import connect_policy
from simia_async.runs.pulse import pulse
from simia_async.runs.record import record_run
from simia_async.runs.rollout_recall import Recalled, lost_calls, recall
from simia_async.runs.rollout_settings import check_consistent
from simia_async.runs.rollout_tally import RolloutProgress, RolloutResult, Tally
from simia_async.runs.simulators import connect_roles, connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending
from simia_async.runs.world import record_scoring, record_world
from simia_async.simulation import Simulator
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


class Plot(msgspec.Struct, frozen=True):
    """What a run plays: read and checked before anything is written."""

    environment: Environment
    tasks: list[Task]
    rubric: Rubric


def read_plot(
    config: RolloutConfig,
    environment: Environment | None = None,
    tasks: Sequence[Task] | None = None,
) -> Plot:
    """Environment, tasks and rubric: those that are given, else as the settings say.

    Raises `UsageError` naming the file and what is wrong with it.
    """
    environment = environment or load_environment(config.environment)
    rubric = choose_rubric(config.rubric, config.votes)
    chosen = list(tasks) if tasks is not None else _tasks(config, environment)
    _check_ids(chosen)
    check_judgeable(rubric, chosen, keeps_state=config.world == "grounded")
    return Plot(environment, chosen, rubric)


def _check_ids(tasks: Sequence[Task]) -> None:
    """Raise `UsageError` if two that differ have one id: the record holds one task an id."""
    known: dict[str, Task] = {}
    for task in tasks:
        if known.setdefault(task.id, task) != task:
            raise UsageError(
                f"task {task.id!r}: is the id of two tasks that differ; give each its own"
            )


def _tasks(config: RolloutConfig, environment: Environment) -> list[Task]:
    if config.tasks_file is None:
        return tasks_of(environment, config.tasks, split=config.split, seed=config.seed)
    path = Path(config.tasks_file)
    found = [task for task in load_tasks(path, environment) if task.split == config.split]
    if not found:
        raise UsageError(f"{path}: holds no task of the split {config.split!r}")
    return in_turn(found, config.tasks, split=config.split, seed=config.seed)


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
    check_consistent(config)
    plot = await anyio.to_thread.run_sync(read_plot, config, environment, tasks)
    commands: dict[str, Callable[[dict[str, Any]], str]] = {}
    own: dict[str, RoleEndpoint] = {
        "user": config.user_endpoint,
        "tool": config.tool_endpoint,
        "judge": config.judge_endpoint,
    }
    async with (
        # First, so that a wrong key or host leaves no run behind.
        connect_simulator(config.simulator, config.budget, report) as simulator,
        connect_roles(simulator, config.simulator, own, config.budget) as roles,
        connect_policy(config, simulator, report) as policy,
        record_run(path, "rollout", config, may_continue=True, commands=commands) as store,
    ):
        clients = {**roles, "simulator": simulator, "policy": policy.client}
        rollouts = _Rollouts(config, plot, clients, policy, store, report, on_progress, on_group)
        commands.update(rollouts.commands())
        async with pulse(store, rollouts.sources()):
            return await rollouts.run()


class _Rollouts:
    """A run, from its first group to its last."""

    def __init__(
        self,
        config: RolloutConfig,
        plot: Plot,
        clients: dict[str, ChatClient],
        policy: ChatPolicy | TokenPolicy,
        store: Store,
        report: Report,
        on_progress: Callable[[RolloutProgress], None],
        on_group: OnGroup | None,
    ) -> None:
        self._config = config
        self._plot = plot
        self._clients = clients
        self._store = store
        self._report = report
        self._on_progress = on_progress
        self._on_group = on_group
        self._spending = clients["simulator"].spending
        self._scheduler = Scheduler(config.concurrency, self._spending)
        self._outages = {name: OutageWatch() for name in ("policy", "simulator", "judge")}
        self._tally = Tally(len(plot.tasks) * config.group_size)
        self._telling = anyio.Lock()
        self._untold = 0
        environment = plot.environment
        self._setting = Setting(
            store,
            environment,
            policy,
            Simulator(
                clients["simulator"],
                environment,
                user=clients["user"],
                tool=clients["tool"],
                joint=config.mode == "joint",
            ),
            Judge(clients["judge"], environment, plot.rubric),
            self._scheduler.gate,
            grounded=config.world == "grounded",
        )

    async def run(self) -> RolloutResult:
        config, store, tasks = self._config, self._store, self._plot.tasks
        joint = config.mode == "joint"
        roles = ("joint", "judge") if joint else ("user", "tool", "judge")
        await record_world(store, self._plot.environment, *roles)
        recalled = await anyio.to_thread.run_sync(recall, store.path, tasks, config.group_size)
        self._remember_answers(recalled)
        await self._begin(recalled)
        begun = await self._scheduler.run(self._groups(recalled), lambda: self._untold < _UNTOLD)
        wanted = len(tasks) - len(recalled.done)
        kept = None
        if config.keep is not None:
            kept = await keep_for_sft(store, self._plot.environment, config.keep)
        return self._tally.result(
            store.path, budget_spent=begun < wanted, kept=kept, spending=self.spending()
        )

    def _remember_answers(self, recalled: Recalled) -> None:
        """What has answered in an earlier session is there, though it may mind one conversation."""
        asked = {"policy": {"policy"}, "simulator": {"user", "tool", "joint"}, "judge": {"judge"}}
        for name, roles in asked.items():
            if roles & recalled.answered:
                self._outages[name].answered()

    async def _begin(self, recalled: Recalled) -> None:
        """Write down what the run works with, and what an earlier session may have paid in vain."""
        endpoints = {name: client.endpoint for name, client in self._clients.items()}
        lost = lost_calls(recalled, endpoints, self._plot.rubric.votes)
        await self._store.append(*(task.as_record() for task in self._plot.tasks), *lost)
        await record_scoring(self._store, self._plot.rubric, self._clients["judge"])
        size = self._config.group_size
        earlier = await anyio.to_thread.run_sync(
            partial(earlier_spending, self._store.path, group_size=size)
        )
        self._spending.charge_earlier(earlier)
        self._tally.take_up(recalled.finished, self._plot.tasks)
        if lost:
            self._report(cut_off_sentence(len(lost), earlier))

    def _groups(self, recalled: Recalled) -> Iterator[Group]:
        for number, task in enumerate(self._plot.tasks, 1):
            if number not in recalled.done:
                size = self._config.group_size
                # Members of a group sample with seeds of their own; no two rollouts share one.
                seed = (self._config.seed * 1_000_000 + number) * size
                plan = recalled.plans.get(number) or GroupPlan(number, task, size)
                yield partial(self._play, msgspec.structs.replace(plan, seed=seed))

    async def _play(self, plan: GroupPlan, placed: Callable[[], None]) -> None:
        outcomes = await run_group(
            plan, self._setting, self._count, slot=self._scheduler.slot, placed=placed
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
        self._watch(outcome)
        self._tally.count(outcome)
        statistics = self._scheduler.statistics()
        self._on_progress(self._tally.progress(statistics.active, self.spending()))

    def _watch(self, outcome: Outcome) -> None:
        """End the run when an endpoint fails as a whole: going on would only fail conversations."""
        for name, watch in self._outages.items():
            failed = outcome.stop_reason == f"{name}_error"
            if failed and isinstance(outcome.failure, EndpointError):
                if isinstance(outcome.failure, EndpointRefused) and _has_answered(name, outcome):
                    # It is there, and minds what this conversation has come to.
                    watch.answered()
                if watch.is_outage(outcome.failure):
                    raise outcome.failure
            elif not failed and outcome.reward is not None:
                watch.answered()

    def spending(self) -> SpendingStatistics:
        """What was spent, projected to the end of the run."""
        return self._spending.statistics(len(self._plot.tasks) - self._spending.done)

    def sources(self) -> dict[str, Callable[[], msgspec.Struct]]:
        """What is asked for its statistics now and then."""
        governors = {
            f"{role}": client.governor.statistics
            for role, client in self._clients.items()
            if role == "simulator" or client.governor is not self._clients["simulator"].governor
        }
        return {
            **governors,
            "scheduler": self._scheduler.statistics,
            "spending": self.spending,
            "writer": self._store.statistics,
        }

    def commands(self) -> Commands:
        """What others may ask the run for."""
        return {
            PAUSE: self._pause,
            RESUME: self._resume,
            CONCURRENCY: self._set_concurrency,
            CANCEL: self._cancel,
        }

    def _pause(self, _: dict[str, Any]) -> str:
        self._scheduler.pause()
        return "paused; calls in flight end and are stored"

    def _resume(self, _: dict[str, Any]) -> str:
        self._scheduler.resume()
        return "goes on"

    def _set_concurrency(self, arguments: dict[str, Any]) -> str:
        conversations = arguments.get("conversations")
        if type(conversations) is not int or conversations < 1:
            raise UsageError(f"conversations: found {conversations!r}; expected a number from 1 on")
        self._scheduler.set_concurrency(conversations)
        return f"at most {conversations} conversations at once from now on"

    def _cancel(self, arguments: dict[str, Any]) -> str:
        number = arguments.get("trajectory")
        if type(number) is not int or not self._scheduler.gate.cancel(number):
            raise UsageError(f"trajectory {number!r} is not under way")
        return f"trajectory {number} is cancelled"


def _has_answered(name: str, outcome: Outcome) -> bool:
    """Whether an endpoint has answered in a conversation before it failed there."""
    spoke = {"policy": "assistant", "simulator": "user"}.get(name)
    return any(message.role == spoke for message in outcome.messages)


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
