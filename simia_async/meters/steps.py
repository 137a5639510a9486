"""Recorded conversations, call by call: what the simulator is asked, and what was answered."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from simia_async.environments import Environment
from simia_async.environments.tool_effects import Parts
from simia_async.errors import UsageError
from simia_async.formats import Conversation
from simia_async.formats.reading import read_with_lines
from simia_async.messages import Message, ToolCall
from simia_async.meters.seen import Claims, claims
from simia_async.meters.values import canonical, read_observation, tells_error
from simia_async.rollouts.conversation import without_thoughts
from simia_async.simulation.code_answers import arguments_of

State = dict[str, Any]


class Recorded(msgspec.Struct, frozen=True):
    """A recorded conversation, and the state of the world when it began."""

    conversation: Conversation
    state: State


class Step(msgspec.Struct, frozen=True):
    """One call that was answered."""

    number: int
    """Among all of the file, from 1."""
    conversation: str
    """Its id."""
    position: int
    """Of the observation among the conversation's messages, without the system message."""
    call: ToolCall
    request: str
    """The call written one way: the tool's name, a space, its arguments as sorted JSON."""
    history: list[Message]
    """As the role `tool` is given it: it ends with the call."""
    recorded: str
    """The observation, as the agent read it."""
    known: Claims
    """What was seen before."""
    last_of_tool: Any
    """What this tool returned last, as a value; None if it was not called before."""
    last: Any
    """What any tool returned last."""
    state: State
    """What is known of the world's state: the start state, and what look-ups have told since, at
    the places that the environment declares."""

    @property
    def tool(self) -> str:
        """The name of the tool."""
        return self.call.function.name

    @property
    def truth(self) -> Any:
        """The recorded observation as a value."""
        return read_observation(self.recorded)


def read_recorded(path: Path, environment: Environment) -> list[Recorded]:
    """The conversations of a file. A line may hold `state`, which is merged into the initial state
    of the environment.

    Raises `UsageError` that names file, place and field.
    """
    recorded = []
    for conversation, line in read_with_lines(path):
        state = line.get("state") or {}
        if not isinstance(state, dict):
            raise UsageError(f"{path}: {conversation.id}: `state` is no object")
        recorded.append(Recorded(conversation, environment.state_with(state)))
    return recorded


def read_steps(recorded: Sequence[Recorded], environment: Environment) -> Iterator[Step]:
    """Every answered call of every conversation, in order."""
    number = 0
    for each in recorded:
        for step in _steps_of(each, environment, number):
            number = step.number
            yield step


def count_unanswered(recorded: Sequence[Recorded]) -> int:
    """Calls that no observation answers; they cannot be measured."""
    asked = answered = 0
    for each in recorded:
        messages = each.conversation.messages
        asked += sum(len(message.tool_calls or ()) for message in messages)
        answered += sum(1 for _ in answered_calls(messages))
    return asked - answered


def _steps_of(recorded: Recorded, environment: Environment, before: int) -> Iterator[Step]:
    conversation, state = recorded.conversation, recorded.state
    messages = [without_thoughts(m) for m in conversation.messages if m.role != "system"]
    known: Claims = {}
    by_tool: dict[str, Any] = {}
    last: Any = None
    for number, (position, call) in enumerate(answered_calls(messages), before + 1):
        history = messages[:position]
        if history[-1].tool_calls != [call]:
            # As in rollouts: of several calls, the one that is meant stands at the end.
            history = [*history, Message("assistant", tool_calls=[call])]
        text, tool, request = messages[position].content or "", call.function.name, _request(call)
        yield Step(
            number=number,
            conversation=conversation.id,
            position=position,
            call=call,
            request=request,
            history=history,
            recorded=text,
            known=dict(known),
            last_of_tool=by_tool.get(tool),
            last=last,
            state=state,
        )
        truth = read_observation(text)
        known |= claims(truth, request)
        by_tool[tool] = last = truth
        state = _after(state, call, truth, environment)


def answered_calls(messages: Sequence[Message]) -> Iterator[tuple[int, ToolCall]]:
    """Places of observations, with the calls that they answer."""
    pending: list[ToolCall] = []
    for position, message in enumerate(messages):
        if message.role == "assistant":
            pending = list(message.tool_calls or ())
        elif message.role == "tool" and pending:
            meant = [c for c in pending if c.id == message.tool_call_id] or pending
            pending.remove(meant[0])
            yield position, meant[0]


def _request(call: ToolCall) -> str:
    arguments = arguments_of(call)
    told = call.function.arguments if arguments is None else canonical(arguments)
    return f"{call.function.name} {told}"


def _after(state: State, call: ToolCall, truth: Any, environment: Environment) -> State:
    """The state with what a look-up told, where the environment declares at which place."""
    effect = environment.effects.get(call.function.name)
    place = effect.returned(arguments_of(call) or {}) if effect else None
    if not place or tells_error(truth):
        return state
    return _with_value(state, place, truth)


def _with_value(state: State, place: Parts, value: Any) -> State:
    inner = state.get(place[0])
    if len(place) > 1:
        value = _with_value(inner if isinstance(inner, dict) else {}, place[1:], value)
    return {**state, place[0]: value}
