"""A simulated world whose state code keeps: what was told once stays true until it is changed."""

from collections import deque
from functools import partial

import msgspec
from simia_store import CallRecord, FactRecord, TurnRecord

from simia_async.environments import Environment
from simia_async.errors import BadReply, StoreError
from simia_async.messages import Message, ToolCall
from simia_async.simulation.asking import read_json
from simia_async.simulation.grounding.entities import MISSING, at
from simia_async.simulation.grounding.functions import call_function
from simia_async.simulation.grounding.observation import (
    Ask,
    Observation,
    Op,
    Request,
    Source,
    State,
    shown,
    text_of,
)
from simia_async.simulation.grounding.own import OwnWorld
from simia_async.simulation.grounding.shared import SharedFacts
from simia_async.simulation.grounding.slices import state_slice
from simia_async.simulation.grounding.validation import Checked, check_reply, is_below
from simia_async.simulation.replies import ToolReply
from simia_async.simulation.state import apply_ops


class GroundedWorld:
    """The world as one rollout meets it: its group's, until it changes something in it."""

    def __init__(self, environment: Environment, shared: SharedFacts, trajectory_id: int) -> None:
        self._environment = environment
        self._shared = shared
        self._trajectory_id = trajectory_id
        self._own: OwnWorld | None = None
        if shared.group_id is None:
            self._own = OwnWorld(environment, shared.snapshot, {}, 0)

    @property
    def state(self) -> State:
        """The true state of the world now; it is replaced, never changed."""
        return self._shared.state if self._own is None else self._own.state

    @property
    def facts(self) -> list[FactRecord]:
        """What the state holds because it was told: the group's facts, then this rollout's."""
        if self._own is None:
            return self._shared.facts
        return self._shared.facts[: self._own.facts] + self._own.learnt

    async def answer(self, call: ToolCall, ask: Ask, ledger: list[CallRecord]) -> Observation:
        """What `call`, whose arguments are fit, returned.

        Code answers where the answer is known, else `ask` does. Calls in `ledger` are committed
        with the fact that they made for the group, and then taken out of it; others stay. Raises
        `EndpointError`, and what the group's commit raises.
        """
        request = Request.of(call)
        if request.name in self._environment.functions:
            return await self._by_function(request)
        if request.writes(self._environment):
            return await self._from_llm(request, ask, ledger)
        known = self._known(request)
        if known is not None:
            return known
        make = partial(self._from_llm, request, ask, ledger)
        if self._own is not None:
            return await make()
        told = await self._shared.once(request.canonical, make)
        return self._as_told(told) if isinstance(told, FactRecord) else told

    def restore(self, turns: list[TurnRecord], own_facts: list[FactRecord]) -> None:
        """Take up an earlier session's rollout: its turns, and its own facts, each in order.

        The facts of its group have been restored before.
        """
        calls: dict[str | None, ToolCall] = {}
        left = deque(own_facts)
        for turn in turns:
            message = msgspec.convert(turn.message, Message)
            calls |= {call.id: call for call in message.tool_calls or ()}
            if message.role == "tool" and message.tool_call_id in calls:
                self._relive(Request.of(calls[message.tool_call_id]), turn, left)

    def _relive(self, request: Request, turn: TurnRecord, left: deque[FactRecord]) -> None:
        if turn.source not in ("llm", "function"):
            return
        if turn.ops and not request.reads(self._environment):
            own = self._branched(turn.facts)
            own.change(turn.ops, apply_ops(own.state, turn.ops))
        elif self._own is not None and self._made_a_fact(request, turn):
            if not left or left[0].call != request.canonical:
                raise StoreError(
                    f"trajectory {turn.trajectory_id}, turn {turn.position}: the fact that it "
                    f"made of {request.canonical} is missing"
                )
            fact = left.popleft()
            self._own.learn(fact, apply_ops(self._own.state, fact.ops))

    def _made_a_fact(self, request: Request, turn: TurnRecord) -> bool:
        return turn.source == "llm" and not request.writes(self._environment)

    def _branched(self, facts: int | None = None) -> OwnWorld:
        """This rollout's branch, which begins now, or with so many facts of the group, if it has
        none yet.
        """
        if self._own is None:
            count = len(self._shared.facts) if facts is None else facts
            self._own = OwnWorld(self._environment, *self._shared.as_of(count), count)
        return self._own

    def _known(self, request: Request) -> Observation | None:
        """The answer that was given before, or else the part of the state that it must be."""
        known = self._shared.known if self._own is None else self._own.known
        if request.canonical in known:
            return self._as_told(known[request.canonical])
        effect = self._environment.effects.get(request.name)
        place = effect.returned(request.arguments) if effect else None
        if place is None or (value := at(self.state, place)) is MISSING:
            return None
        whole = self._own.whole if self._own else ()
        if at(self._shared.snapshot, place) is MISSING and not is_below(place, whole):
            return None  # Look-ups of other kinds told something of it, not all.
        return self._observation(ToolReply(value), "fact")

    async def _by_function(self, request: Request) -> Observation:
        function = self._environment.functions[request.name]
        reply = await call_function(request.name, function, self.state, request.arguments)
        if request.reads(self._environment):
            if reply.ops:
                raise BadReply(f"function of tool {request.name}: `ops` of a tool that only reads")
            return self._observation(reply, "function")
        try:
            return self._observation(reply, "function", self._taken_change(request, reply))
        except msgspec.ValidationError as error:
            raise BadReply(f"function of tool {request.name}: {error}") from error

    async def _from_llm(self, request: Request, ask: Ask, ledger: list[CallRecord]) -> Observation:
        """Ask, and take the answer over; once more if meanwhile others of the group were answered
        so that this answer is not true any more.
        """
        for last in (False, True):
            part = state_slice(self.state, request.arguments)
            reply = await ask(part, partial(self._read, request))
            try:
                return await self._take(request, reply, ledger)
            except msgspec.ValidationError as error:
                if last:
                    raise BadReply(f"simulator, role tool: {error}") from error
        raise AssertionError("the loop returns or raises")

    def _read(self, request: Request, text: str) -> ToolReply:
        reply = read_json(ToolReply, text)
        self._checked(request, reply)
        return reply

    async def _take(
        self, request: Request, reply: ToolReply, ledger: list[CallRecord]
    ) -> Observation:
        """Make the answer part of the world."""
        if self._own is None and not request.writes(self._environment):
            told = await self._shared.add(partial(self._group_fact, request, reply), ledger)
            if told is not None:
                return self._observation(reply, "llm", told.ops)
        if self._own is not None and self._tells(request, reply):
            checked = self._checked(request, reply)
            fact = FactRecord(None, self._trajectory_id, *_told(request, reply, checked.ops))
            self._own.learn(fact, checked.state)
            return self._observation(reply, "llm", fact.ops, [fact])
        return self._observation(reply, "llm", self._taken_change(request, reply))

    def _taken_change(self, request: Request, reply: ToolReply) -> list[Op]:
        checked = self._checked(request, reply)
        if checked.ops:
            self._branched().change(checked.ops, checked.state)
        return checked.ops

    def _group_fact(self, request: Request, reply: ToolReply) -> FactRecord | None:
        if not self._tells(request, reply):
            return None
        ops = self._checked(request, reply).ops
        return FactRecord(self._shared.group_id, None, *_told(request, reply, ops))

    def _tells(self, request: Request, reply: ToolReply) -> bool:
        """Whether an answer is one to a look-up: of a tool that is not declared, its ops tell."""
        reads, writes = request.reads(self._environment), request.writes(self._environment)
        return reads or not (writes or reply.ops)

    def _checked(self, request: Request, reply: ToolReply) -> Checked:
        gone = self._own.gone if self._own else ()
        return check_reply(self._environment, request, reply, self.state, gone)

    def _as_told(self, fact: FactRecord) -> Observation:
        reply = ToolReply(msgspec.json.decode(fact.observation), fact.is_error)
        return self._observation(reply, "fact")

    def _observation(
        self,
        reply: ToolReply,
        source: Source,
        ops: list[Op] | None = None,
        records: list[FactRecord] | None = None,
    ) -> Observation:
        facts = len(self._shared.facts) if self._own is None else self._own.facts
        value = reply.observation
        return Observation(
            value, shown(value), reply.is_error, source, ops or [], facts, records or []
        )


def _told(request: Request, reply: ToolReply, ops: list[Op]) -> tuple[str, str, bool, list[Op]]:
    """What a fact holds."""
    return request.canonical, text_of(reply.observation), reply.is_error, ops
