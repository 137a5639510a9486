"""A whole conversation as an author wrote it: JSON, with slips or without, or the paper's text.

Simulators are asked for OpenAI messages in JSON. What they write instead is read where its meaning
is beyond doubt, and each such reading is noted; the rules see to the rest. Nothing that may belong
to the conversation is dropped.

A user who quotes a line that begins `ASSISTANT:` cannot be told from a turn of the agent in the
paper's text: nothing there escapes it, so the line is read as a turn.
"""

from itertools import count
from typing import Any, Literal

import msgspec

from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.loose_json import whole_json
from simia_async.simulation.paper_text import find_marks, read_paper_text
from simia_async.simulation.replies import Draft
from simia_async.simulation.written_calls import read_call, read_call_text

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "function_call",
    "tool_call": "function_call",
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
    "system": "system",
}
_LISTS = ("messages", "conversation", "conversations", "trajectory")


_FIELDS = {
    *("role", "from", "content", "value", "name", "tool_calls", "function_call", "tool_call_id"),
    "reasoning_content",
}


class _Function(FunctionCall, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class _Call(ToolCall, frozen=True, gc=False, forbid_unknown_fields=True):
    function: _Function


class _Message(Message, frozen=True, gc=False, forbid_unknown_fields=True):
    tool_calls: list[_Call] | None = None  # type: ignore[assignment]


class _TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class _Asked(msgspec.Struct, frozen=True):
    """What is asked for: messages without a field that they do not have."""

    messages: list[_Message]


def read_draft(text: str) -> Draft:
    """The conversation in an author's answer. Raises `msgspec.ValidationError` if there is none."""
    try:
        asked = msgspec.json.decode(text, type=_Asked)
        return Draft(msgspec.convert(asked.messages, list[Message], from_attributes=True))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    if not text.lstrip().startswith(("{", "[", "```")) and (marks := find_marks(text)):
        return read_paper_text(text, marks)
    return _Reading().draft(whole_json(text, _is_conversation))


def _turns_of(value: Any) -> list[Any] | None:
    """The turns in an answer: a list under one of the names for it, or a bare one."""
    if isinstance(value, dict):
        found = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
        return found[0] if found else None
    return value if isinstance(value, list) else None


def _is_conversation(value: Any) -> bool:
    turns = _turns_of(value)
    return bool(turns) and all(isinstance(turn, dict) and _role_of(turn) for turn in turns or ())


def _role_of(turn: dict[str, Any]) -> Any:
    return turn.get("role", turn.get("from"))


class _Reading:
    """One answer, and what is noted of it."""

    def __init__(self) -> None:
        self._slips: dict[str, None] = {}
        self._numbers = count()

    def draft(self, value: Any) -> Draft:
        turns = _turns_of(value)
        if turns is None:
            raise msgspec.ValidationError("no `messages`, a list of turns")
        if turns is value:
            self._note("a bare list instead of an object")
        messages = [self._message(at, turn) for at, turn in enumerate(turns)]
        return Draft(messages, list(self._slips) or ["slips in the JSON"])

    def _message(self, at: int, turn: Any) -> Message:
        if not isinstance(turn, dict):
            raise msgspec.ValidationError(f"turn {at} is no object")
        said = _role_of(turn)
        role = _ROLES.get(str(said).lower())
        if role is None:
            raise msgspec.ValidationError(f"turn {at}: found role {str(said)[:80]!r}")
        if role != said:
            self._note(f"role {said!r}")
        try:
            return self._message_of(role, turn)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"turn {at}: {error}") from error

    def _message_of(self, role: str, turn: dict[str, Any]) -> Message:
        self._look_for_other_fields(turn)
        content = self._content(role, turn.get("content", turn.get("value")))
        calls = self._calls(turn)
        if role == "function_call":
            role = "assistant"
            if not calls:
                calls, content = read_call_text(content or "", self._next_id, self._note)
        wire = {
            "role": role,
            "content": content,
            "tool_calls": calls or None,
            "tool_call_id": turn.get("tool_call_id"),
            "name": turn.get("name") if role == "tool" else None,
            "reasoning_content": turn.get("reasoning_content"),
        }
        return msgspec.convert(wire, Message)

    def _look_for_other_fields(self, turn: dict[str, Any]) -> None:
        """A field of another name may be left out if it holds no more than a word on the turn."""
        for name in turn.keys() - _FIELDS:
            if isinstance(turn[name], dict | list) and turn[name]:
                raise msgspec.ValidationError(f"{name[:80]!r} is no field of messages")
            self._note("other fields than were asked for")

    def _calls(self, turn: dict[str, Any]) -> list[ToolCall]:
        written = turn.get("tool_calls") or []
        if isinstance(written, dict):
            self._note("one call instead of a list of calls")
            written = [written]
        if not isinstance(written, list):
            raise msgspec.ValidationError("`tool_calls` is no list of calls")
        if (legacy := turn.get("function_call")) is not None:
            if written:
                raise msgspec.ValidationError("both `tool_calls` and `function_call`")
            self._note("`function_call` instead of `tool_calls`")
            written = [legacy]
        return [read_call(call, self._next_id, self._note) for call in written]

    def _content(self, role: str, value: Any) -> str | None:
        """What was said. Observations may be any JSON; what people say is text, or parts of it."""
        if value is None or isinstance(value, str):
            return value
        if role in {"tool", "function_call"}:
            self._note("content as JSON instead of text")
            return msgspec.json.encode(value).decode()
        self._note("content in parts")
        try:
            return "\n".join(part.text for part in msgspec.convert(value, list[_TextPart]))
        except msgspec.ValidationError:
            raise msgspec.ValidationError("`content` is no text") from None

    def _next_id(self) -> str:
        return f"call_{next(self._numbers)}"

    def _note(self, slip: str) -> None:
        self._slips[slip] = None
