"""A whole conversation as an author wrote it: JSON, with slips or without, or the paper's text.

Simulators are asked for OpenAI messages in JSON. What they write instead is read where its meaning
is beyond doubt, and each such reading is noted; the rules see to the rest.
"""

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.loose_json import some_json, whole_json
from simia_async.simulation.replies import Draft

_MARK = re.compile(
    r"^[ \t]*(?:\*\*|#+ *)?(SYSTEM|HUMAN|USER|ASSISTANT|GPT|FUNCTION_CALL|OBSERVATION)(?:\*\*)?:"
    r"(?:\*\*)?[ \t]*",
    re.MULTILINE,
)
_THOUGHT = re.compile(r"\s*(<think>.*?</think>)\s*", re.DOTALL)
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


def read_draft(text: str) -> Draft:
    """The conversation in an author's answer. Raises `msgspec.ValidationError` if there is none."""
    try:
        return msgspec.json.decode(text, type=Draft)
    except (msgspec.DecodeError, RecursionError):
        pass
    marks = list(_MARK.finditer(text))
    if marks and not text.lstrip().startswith(("{", "[", "```")):
        return Draft(_read_text(text, marks), ["HUMAN:/ASSISTANT: text instead of JSON"])
    return _Reading().draft(whole_json(text))


class _Reading:
    """One answer, and what is noted of it."""

    def __init__(self) -> None:
        self._slips: dict[str, None] = {}
        self._numbers = count()

    def draft(self, value: Any) -> Draft:
        messages = [self._message(at, turn) for at, turn in enumerate(self._turns(value))]
        return Draft(messages, list(self._slips) or ["slips in the JSON"])

    def _turns(self, value: Any) -> list[Any]:
        if isinstance(value, dict):
            found = [value[name] for name in _LISTS if isinstance(value.get(name), list)]
            value = found[0] if found else None
        else:
            self._note("a bare list instead of an object")
        if not isinstance(value, list):
            raise msgspec.ValidationError("no `messages`, a list of turns")
        return value

    def _message(self, at: int, turn: Any) -> Message:
        if not isinstance(turn, dict):
            raise msgspec.ValidationError(f"turn {at} is no object")
        said = turn.get("role", turn.get("from"))
        role = _ROLES.get(str(said).lower())
        if role is None:
            raise msgspec.ValidationError(f"turn {at}: found role {said!r}")
        if role != said:
            self._note(f"role {said!r}")
        content = self._text(turn.get("content", turn.get("value")), "content")
        if role == "function_call":
            calls, content = read_call_text(content or "", self._next_id)
        else:
            written = turn.get("tool_calls") or []
            calls = [self._call(at, call) for call in written if isinstance(written, list)]
        wire = {
            "role": "assistant" if role == "function_call" else role,
            "content": content,
            "tool_calls": calls or None,
            "tool_call_id": turn.get("tool_call_id"),
            "name": turn.get("name") if role == "tool" else None,
        }
        return msgspec.convert(wire, Message)

    def _call(self, at: int, call: Any) -> ToolCall:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise msgspec.ValidationError(f"turn {at}: a call without a name")
        arguments = self._text(function.get("arguments", function.get("parameters")), "arguments")
        number = call.get("id")
        if not isinstance(number, str) or not number:
            self._note("calls without ids")
            number = self._next_id()
        return ToolCall(number, FunctionCall(function["name"], arguments or ""))

    def _text(self, value: Any, what: str) -> str | None:
        if value is None or isinstance(value, str):
            return value
        self._note(f"{what} as JSON instead of text")
        return msgspec.json.encode(value).decode()

    def _next_id(self) -> str:
        return f"call_{next(self._numbers)}"

    def _note(self, slip: str) -> None:
        self._slips[slip] = None


def _read_text(text: str, marks: list[re.Match[str]]) -> list[Message]:
    """The paper's form: a mark at the start of a line, and what was said up to the next one."""
    messages: list[Message] = []
    unanswered: list[str] = []
    numbers = count()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        said = text[mark.end() : end].strip()
        match mark[1]:
            case "SYSTEM":
                continue
            case "HUMAN" | "USER":
                messages.append(Message("user", said))
            case "ASSISTANT" | "GPT":
                messages.append(Message("assistant", said))
            case "FUNCTION_CALL":
                calls, thought = read_call_text(said, lambda: f"call_{next(numbers)}")
                unanswered = [call.id for call in calls]
                messages.append(Message("assistant", thought, tool_calls=calls))
            case _:
                answers = unanswered.pop(0) if unanswered else None
                messages.append(Message("tool", said, tool_call_id=answers))
    return messages


def read_call_text(text: str, next_id: Callable[[], str]) -> tuple[list[ToolCall], str | None]:
    """Calls written as text, `{"name": …, "arguments": …}` or a list of such, and the thought
    before them. Raises `msgspec.ValidationError` if they cannot be read.
    """
    thought = _THOUGHT.match(text)
    written = some_json(text[thought.end() :] if thought else text)
    calls = []
    for one in written if isinstance(written, list) else [written]:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise msgspec.ValidationError(f"no call of a tool: {text[:80]!r}")
        arguments = one.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        calls.append(ToolCall(next_id(), FunctionCall(one["name"], arguments)))
    return calls, thought[1] if thought else None
