"""What a judge is shown, and what it makes of it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from simia_async.environments import Task
from simia_async.messages import Message


class MadeCall(msgspec.Struct, frozen=True):
    """A tool call of the agent that was answered."""

    tool: str
    arguments: dict[str, Any]
    is_error: bool = False


class Case(msgspec.Struct, frozen=True):
    """A conversation that has ended."""

    task: Task
    history: Sequence[Message]
    """What was said, without the system message and without what the agent only thought."""
    made: Sequence[MadeCall]
    initial_state: dict[str, Any]
    final_state: dict[str, Any] | None
    """None where nobody kept it."""
    wanted_state: dict[str, Any] | None
    """The whole state that the task's check wants; None where it wants none."""
    changes: Sequence[dict[str, Any]]
    """JSON Patch operations (RFC 6902) from one to the other, in order."""
    finished: bool
    """Whether the user got to the end of their scenario."""


class Verdict(msgspec.Struct, frozen=True):
    """The reward of a conversation, and why."""

    reward: float
    reason: str
    solved: bool | None
    """Whether the task's exact check holds; None where it has none, or it cannot be told."""
    detail: dict[str, Any] = {}
    """Criteria, checks, votes and their agreement."""
