"""What a rule sees, what it may do about it, and what is made of a conversation in the end."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import msgspec

from simia_async.environments import Environment
from simia_async.messages import Message


class Reject(Exception):
    """The conversation is not sound; the text says why."""


class RuleSettings(msgspec.Struct, frozen=True):
    """What the rules leave to the user."""

    think: Literal["keep", "calls", "strip"] = "keep"
    """Thoughts of the agent: all are kept, only those before calls, or none."""
    max_characters: int = 100_000
    """Longer conversations are rejected. Counted over texts and arguments."""


class Repair(msgspec.Struct, frozen=True):
    """Something a rule put right, and what."""

    rule: str
    reason: str


class Verdict(msgspec.Struct, frozen=True):
    """What the rules made of a conversation."""

    messages: list[Message]
    """As repaired; for a rejected one, as far as the rules came."""
    repairs: list[Repair] = []
    rejected_by: str | None = None
    """Name of the rule that rejected it; None if it is sound."""
    reason: str | None = None


class Case(msgspec.Struct, frozen=True, dict=True):
    """A conversation before the rules."""

    messages: list[Message]
    environment: Environment
    settings: RuleSettings

    @cached_property
    def text(self) -> str:
        """All that is said, called and observed: one look at it is enough for most rules."""
        return "\n".join(text for message in self.messages for text in texts_of(message))

    @cached_property
    def lower_text(self) -> str:
        """The same in lower case."""
        return self.text.lower()

    def with_messages(self, messages: list[Message]) -> "Case":
        """The same case after a repair."""
        return Case(messages, self.environment, self.settings)


class Mended(msgspec.Struct, frozen=True):
    """A conversation as a rule repaired it."""

    messages: list[Message]
    reasons: list[str]
    """What was repaired, one sentence for each place."""


Rule = Callable[[Case], Mended | None]
"""Passes the case with None, repairs it, or raises `Reject`."""


def texts_of(message: Message) -> list[str]:
    """What a message says, and the arguments of its calls as they were written."""
    calls = message.tool_calls or ()
    return [message.content or "", *[call.function.arguments for call in calls]]
