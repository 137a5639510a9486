"""What a tool call returned, where it came from, and how a world asks for it."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Self

import msgspec
from simia_store import FactRecord

from simia_async.environments import Environment
from simia_async.messages import ToolCall
from simia_async.simulation.code_answers import arguments_of
from simia_async.simulation.replies import ToolReply

Source = Literal["code", "fact", "llm", "function"]

State = dict[str, Any]

Op = dict[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""

ReadReply = Callable[[str], ToolReply]
"""Makes a reply of what an LLM said; raises `msgspec.ValidationError`, whose text is the complaint,
for one that cannot be used."""

Ask = Callable[[State | None, ReadReply], Awaitable[ToolReply]]
"""Asks an LLM to play the tool, given what it may see of the state and how its answer is read.

Complains once where it cannot be read; raises `EndpointError` if no usable answer comes.
"""


class Observation(msgspec.Struct, frozen=True):
    """What one call returned."""

    value: Any
    text: str
    """What the agent reads."""
    is_error: bool
    source: Source
    ops: list[Op] = []
    """JSON Patch (RFC 6902) that it made to the state."""
    facts: int = 0
    """How many facts of its group the state held."""
    records: list[FactRecord] = []
    """Facts of this rollout alone, to be stored together with the turn."""


def shown(value: Any) -> str:
    """A JSON value as the agent reads it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else text_of(value)


def text_of(value: Any) -> str:
    """A JSON value as text."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


class Request(msgspec.Struct, frozen=True):
    """A call whose arguments are known to fit."""

    name: str
    arguments: dict[str, Any]
    canonical: str
    """Written one way: the tool's name, a space, its arguments as sorted JSON."""

    @classmethod
    def of(cls, call: ToolCall) -> Self:
        """The request that a call makes."""
        name, arguments = call.function.name, arguments_of(call) or {}
        sorted_json = msgspec.json.encode(arguments, order="sorted").decode()
        return cls(name, arguments, f"{name} {sorted_json}")

    def writes(self, environment: Environment) -> bool:
        """Whether its tool is declared to change the state."""
        effect = environment.effects.get(self.name)
        return effect is not None and effect.effect == "write"

    def reads(self, environment: Environment) -> bool:
        """Whether its tool is declared to leave the state as it is."""
        effect = environment.effects.get(self.name)
        return effect is not None and effect.effect == "read"
