"""Conversations that are held in workers: a worker's end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import msgspec
from simia_store import FactRecord, TrajectoryRecord, TurnRecord

from simia_async.builtin.exact import exact_functions
from simia_async.clients import ChatClient
from simia_async.clients.governor import Governor
from simia_async.config import Endpoint, RolloutConfig
from simia_async.environments import Environment, Task
from simia_async.errors import EndpointError, RenderError
from simia_async.judging import Judge, Rubric
from simia_async.messages import Message
from simia_async.rollouts.conversation import Outcome, Seat, Setting, run_rollout
from simia_async.rollouts.gate import Gate
from simia_async.rollouts.places import PolicyDesk, PolicyPlace
from simia_async.rollouts.stop_reason import StopReason
from simia_async.runs.actors import keeps_state, simulator_of
from simia_async.runs.policies import sampling_of
from simia_async.runs.shipping import Parcel, unship
from simia_async.simulation.grounding import SharedFacts
from simia_async.workers.failures import Failure
from simia_async.workers.host import Job, OwnersRecord

JOB = "rollout"


class Line(msgspec.Struct, frozen=True):
    """How a role is asked."""

    endpoint: Endpoint
    governor: str
    """Name of the governor that holds its calls back: roles may share one."""


class Given(msgspec.Struct, frozen=True):
    """What all conversations have in common."""

    config: RolloutConfig
    environment: Parcel
    rubric: Rubric
    lines: dict[str, Line]
    """By role; `policy` is one."""
    policy: PolicyPlace
    version: int


class Ticket(msgspec.Struct, frozen=True):
    """One conversation: a seat, and what its group begins with."""

    task: Task
    group: int
    group_facts: Sequence[FactRecord]
    """Those of an earlier worker or session; only the first of the group's tickets has them."""
    seed: int
    begun: TrajectoryRecord | None
    turns: Sequence[TurnRecord]
    tokens: int
    own_facts: Sequence[FactRecord]

    @classmethod
    def of(cls, seat: Seat, group: int, group_facts: Sequence[FactRecord]) -> Self:
        """That of a seat."""
        return cls(
            seat.task,
            group,
            group_facts,
            seat.seed,
            seat.begun,
            seat.turns,
            seat.tokens,
            seat.own_facts,
        )

    def seat(self, number: int, facts: SharedFacts) -> Seat:
        """The seat of conversation `number`."""
        return Seat(
            number,
            self.task,
            facts,
            self.seed,
            self.begun,
            self.turns,
            self.tokens,
            self.own_facts,
        )


class Played(msgspec.Struct, frozen=True):
    """An `Outcome`, without what its owner knows."""

    stop_reason: StopReason
    reward: float | None
    solved: bool | None
    why: str | None
    messages: list[Message]
    failure: Failure | None

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """What a worker tells of how a conversation ended."""
        failure = outcome.failure
        return cls(
            outcome.stop_reason,
            outcome.reward,
            outcome.solved,
            outcome.why,
            list(outcome.messages),
            Failure.of(failure) if isinstance(failure, EndpointError | RenderError) else None,
        )

    def outcome(self, number: int, task: Task) -> Outcome:
        """How conversation `number` ended."""
        failure = self.failure.as_error() if self.failure else None
        return Outcome(
            number,
            task,
            self.stop_reason,
            self.reward,
            self.solved,
            self.why,
            self.messages,
            failure,
        )


decode_played = msgspec.json.Decoder(Played).decode
_decode_given = msgspec.json.Decoder(Given).decode
_decode_ticket = msgspec.json.Decoder(Ticket).decode


class Stand:
    """Plays conversations, each to its end."""

    def __init__(
        self,
        given: Given,
        environment: Environment,
        clients: Mapping[str, ChatClient],
        record: OwnersRecord,
    ) -> None:
        """Raises `UsageError` for a policy whose tokenizer is not here."""
        config = given.config
        self.governors: Mapping[str, Governor] = {
            line.governor: clients[role].governor for role, line in given.lines.items()
        }
        self._environment = environment
        self._gate = Gate(lambda: self._is_spent)
        self._is_spent = False
        self._facts: dict[int, SharedFacts] = {}
        """Of groups that have begun, by their numbers."""
        sampling = sampling_of(config, None, given.policy.unset)
        self._setting = Setting(
            record,
            environment,
            PolicyDesk(given.policy).at(clients["policy"], given.version, sampling),
            simulator_of(config, clients, environment),
            Judge(clients["judge"], environment, given.rubric),
            self._gate,
            grounded=keeps_state(config),
        )

    async def do(self, number: int, given: msgspec.Raw) -> Played:
        """Play one, from where it stands."""
        ticket = _decode_ticket(given)
        seat = ticket.seat(number, self._facts_of(ticket))
        return Played.of(await run_rollout(self._setting, seat))

    def hold(self, *, held: bool) -> None:
        """Let conversations wait before their next turn, or go on."""
        if held:
            self._gate.pause()
        else:
            self._gate.resume()

    def spend(self) -> None:
        """The budget is used up: conversations end where they are."""
        self._is_spent = True

    def cancel(self, number: int) -> None:
        """Somebody asked for the end of one."""
        self._gate.cancel(number)

    def forget(self, group: int) -> None:
        """A group has ended."""
        self._facts.pop(group, None)

    def _facts_of(self, ticket: Ticket) -> SharedFacts:
        """What the group's world has told so far."""
        facts = self._facts.get(ticket.group)
        if facts is None:
            snapshot = self._environment.state_with(ticket.task.initial_state)
            facts = SharedFacts(ticket.group, snapshot, self._setting.store.append)
            facts.restore(ticket.group_facts)
            self._facts[ticket.group] = facts
        return facts


@asynccontextmanager
async def open_stand(given: msgspec.Raw, record: OwnersRecord) -> AsyncIterator[Job]:
    """A worker's end, connected."""
    told = _decode_given(given)
    environment = unship(told.environment)
    if told.config.world == "exact":
        environment = environment.with_functions(exact_functions(environment.name))
    async with AsyncExitStack() as opened:
        clients = await _clients(told.lines, opened)
        yield Stand(told, environment, clients, record)


async def _clients(lines: Mapping[str, Line], opened: AsyncExitStack) -> dict[str, ChatClient]:
    """A client a role; those that are asked alike have one, and share what their owner's share."""
    clients: dict[str, ChatClient] = {}
    for role, line in lines.items():
        alike = [other for other in clients if lines[other] == line]
        if alike:
            clients[role] = clients[alike[0]]
            continue
        sharing = [other for other in clients if lines[other].governor == line.governor]
        governor = clients[sharing[0]].governor if sharing else None
        connecting = ChatClient.connect(line.endpoint, governor=governor)
        clients[role] = await opened.enter_async_context(connecting)
    return clients
