"""Chat messages and tool schemas in OpenAI's wire format."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from simia_store import TurnRecord

Role = Literal["system", "user", "assistant", "tool"]

ToolSchema = dict[str, Any]
"""One tool in OpenAI function format: `{"type": "function", "function": {…}}`."""


class FunctionCall(msgspec.Struct, frozen=True, gc=False):
    """Name of a tool and its arguments as the model wrote them: JSON text, perhaps malformed."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a tool by the agent."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class Message(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One chat message.

    `content` keeps what the model wrote, `<think>` blocks included; `visible_text` is what the
    other side reads.
    """

    role: Role
    content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    """What a reasoning model thought, where its endpoint tells; never sent back."""

    def as_wire(self) -> dict[str, Any]:
        """The message as a JSON-ready dictionary."""
        wire: dict[str, Any] = msgspec.to_builtins(self)
        return wire


def messages_for_policy(turns: Iterable[TurnRecord]) -> list[Message]:
    """What was said, called and observed, as the policy saw it: without what the user did on a
    device of their own. Raises `msgspec.ValidationError` for a turn that holds no message.
    """
    return [msgspec.convert(turn.message, Message) for turn in turns if not turn.is_users_own]


def visible_text(text: str) -> str:
    """`text` without `<think>` blocks; an unclosed block hides everything after it."""
    while (start := text.find("<think>")) >= 0:
        end = text.find("</think>", start)
        text = text[:start] + (text[end + len("</think>") :] if end >= 0 else "")
    return text.strip()
