"""Where the conversations of a run are played and judged: its endpoints, its world, its record, and
what others may ask of it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio.to_thread
from simia_store import CANCEL, CONCURRENCY, PAUSE, REJUDGE, RESUME, Store

from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import PlayConfig, RoleEndpoint, RunKind
from simia_async.environments import Environment
from simia_async.errors import EndpointError, EndpointRefused, UsageError
from simia_async.judging import Judge, Rubric
from simia_async.rollouts.conversation import Outcome, Setting
from simia_async.rollouts.scheduler import Scheduler
from simia_async.runs.actors import keeps_state, simulator_of
from simia_async.runs.obedience import Obey
from simia_async.runs.outage import OutageWatch
from simia_async.runs.plot import Plot
from simia_async.runs.policies import PolicyHost, connect_policy
from simia_async.runs.pulse import Sources, pulse
from simia_async.runs.record import record_run
from simia_async.runs.rejudging import Rejudging
from simia_async.runs.rollout_recall import Recalled, lost_calls
from simia_async.runs.simulators import connect_roles, connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending
from simia_async.runs.world import record_scoring, record_world
from simia_async.supervision.service import Report

ConnectPolicy = Callable[
    [PlayConfig, dict[int, Path], ChatClient, Report], AbstractAsyncContextManager[PolicyHost]
]
"""Connects what acts: as `connect_policy` does."""

_ASKED = {"policy": {"policy"}, "simulator": {"user", "tool", "joint"}, "judge": {"judge"}}
"""The roles that each of the three parts of a conversation is asked in."""


class Stage:
    """What conversations are played with. Made by `open_stage`."""

    def __init__(
        self,
        config: PlayConfig,
        environment: Environment,
        rubric: Rubric,
        clients: dict[str, ChatClient],
        host: PolicyHost,
        store: Store,
        units: int,
        commands: dict[str, Obey],
    ) -> None:
        """`units` of work are to be done in all. What others may ask for is put into `commands`."""
        self.store = store
        self.commands = commands
        self.host = host
        self.clients = clients
        self.spending = clients["simulator"].spending
        self.scheduler = Scheduler(config.concurrency, self.spending)
        self._units = units
        self._environment = environment
        self._grounded = keeps_state(config)
        self._simulator = simulator_of(config, clients, environment)
        self._judge = Judge(clients["judge"], environment, rubric)
        self._outages = {name: OutageWatch() for name in _ASKED}
        self.told = self._sources()
        """Who is asked for statistics now and then."""
        self.hold_also: Callable[[bool], None] = lambda _: None
        """Told when a pause begins or ends."""
        commands |= {
            PAUSE: self._pause,
            RESUME: self._resume,
            CONCURRENCY: self._set_concurrency,
            CANCEL: self._cancel,
        }

    def setting(self, version: int, temperature: float | None = None) -> Setting:
        """What conversations with one version of the policy have in common."""
        return Setting(
            self.store,
            self._environment,
            self.host.at(version, temperature),
            self._simulator,
            self._judge,
            self.scheduler.gate,
            grounded=self._grounded,
        )

    async def take_up(
        self, plot: Plot, recalled: Recalled, group_size: int, report: Report
    ) -> None:
        """Write down what is played, and charge what earlier sessions paid, perhaps in vain."""
        endpoints = {name: client.endpoint for name, client in self.clients.items()}
        lost = lost_calls(recalled, endpoints, plot.rubric.votes)
        await self.store.append(*(task.as_record() for task in plot.tasks), *lost)
        self._remember_answers(recalled.answered)
        earlier = await anyio.to_thread.run_sync(
            partial(earlier_spending, self.store.path, group_size=group_size)
        )
        self.spending.charge_earlier(earlier)
        if lost:
            report(cut_off_sentence(len(lost), earlier))
        self.commands[REJUDGE] = Rejudging(
            self.store,
            self._judge,
            self.clients["judge"],
            self._environment,
            grounded=self._grounded,
        ).obey

    def _remember_answers(self, roles: set[str]) -> None:
        """What has answered in an earlier session is there, though it may mind one conversation."""
        for name, asked in _ASKED.items():
            if asked & roles:
                self._outages[name].answered()

    def watch(self, outcome: Outcome) -> None:
        """Raise what ended a conversation if an endpoint fails as a whole: going on would only fail
        more of them.
        """
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

    def spent(self) -> SpendingStatistics:
        """What was spent, projected to the end of the run."""
        return self.spending.statistics(self._units - self.spending.done)

    def _sources(self) -> Sources:
        simulator = self.clients["simulator"].governor
        governors = {
            role: client.governor.statistics
            for role, client in self.clients.items()
            if role == "simulator" or client.governor is not simulator
        }
        return {
            **governors,
            "scheduler": self.scheduler.statistics,
            "spending": self.spent,
            "writer": self.store.statistics,
        }

    def _pause(self, _: dict[str, Any]) -> str:
        self.scheduler.pause()
        self.hold_also(True)
        return "paused; calls in flight end and are stored"

    def _resume(self, _: dict[str, Any]) -> str:
        self.scheduler.resume()
        self.hold_also(False)
        return "goes on"

    def _set_concurrency(self, arguments: dict[str, Any]) -> str:
        conversations = arguments.get("conversations")
        if type(conversations) is not int or conversations < 1:
            raise UsageError(f"conversations: found {conversations!r}; expected a number from 1 on")
        self.scheduler.set_concurrency(conversations)
        return f"at most {conversations} conversations at once from now on"

    def _cancel(self, arguments: dict[str, Any]) -> str:
        number = arguments.get("trajectory")
        if type(number) is not int or not self.scheduler.gate.cancel(number):
            raise UsageError(f"trajectory {number!r} is not under way")
        return f"trajectory {number} is cancelled"


def _has_answered(name: str, outcome: Outcome) -> bool:
    """Whether an endpoint has answered in a conversation before it failed there."""
    spoke = {"policy": "assistant", "simulator": "user"}.get(name)
    return any(message.role == spoke for message in outcome.messages)


@asynccontextmanager
async def open_stage(
    kind: RunKind,
    config: PlayConfig,
    path: Path,
    environment: Environment,
    rubric: Rubric,
    *,
    adapters: dict[int, Path],
    units: int,
    report: Report,
    may_continue: bool = False,
    connect: ConnectPolicy = connect_policy,
    more_roles: Mapping[str, RoleEndpoint] = MappingProxyType({}),
) -> AsyncIterator[Stage]:
    """Connect what the settings name, begin the run's record at `path` and let others steer it.

    `adapters` are those of the policy, by version; `more_roles` are asked besides those that every
    run has. Raises `UsageError`, `StoreError`,
    `EndpointError` or `ChildFailed`.
    """
    commands: dict[str, Obey] = {}
    own: dict[str, RoleEndpoint] = {
        "user": config.user_endpoint,
        "tool": config.tool_endpoint,
        "judge": config.judge_endpoint,
        **more_roles,
    }
    async with (
        # First, so that a wrong key or host leaves no run behind.
        connect_simulator(config.simulator, config.budget, report) as simulator,
        connect_roles(simulator, config.simulator, own, config.budget) as roles,
        connect(config, adapters, simulator, report) as host,
        record_run(path, kind, config, may_continue=may_continue, commands=commands) as store,
    ):
        clients = {**roles, "simulator": simulator, "policy": host.client}
        stage = Stage(config, environment, rubric, clients, host, store, units, commands)
        async with pulse(store, stage.told):
            asked = ("joint", "judge") if config.mode == "joint" else ("user", "tool", "judge")
            await record_world(store, environment, *asked)
            await record_scoring(store, rubric, clients["judge"])
            yield stage
