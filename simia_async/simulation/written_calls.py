"""Calls of tools as authors write them, in JSON or as text.

What a call says is never made up and never dropped: a call without arguments must say `{}`, and
one that breaks off is none. Everything here raises `msgspec.ValidationError` for what cannot be
read.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation.loose_json import NotStorable, decode_part, json_parts

Note = Callable[[str], None]
"""Takes what had to be read another way than it was asked for."""

_THOUGHT = re.compile(r"\s*(<think>.*?</think>)\s*", re.DOTALL)
_FUNCTION = {"name", "arguments", "parameters"}
_AROUND = {"id", "type", "index"}
_NAME_AND_ARGUMENTS = re.compile(
    r'\{\s*"name"\s*:\s*"([^"\\]+)"\s*,\s*"arguments"\s*:\s*"?(\{.*\})"?\s*\}', re.DOTALL
)
_NO_VALUE = re.compile(r":\s*[,}\]]")
"""A name with nothing after it, where a repairer would put an empty text."""


def read_call(call: Any, next_id: Callable[[], str], note: Note) -> ToolCall:
    """One call: OpenAI's form, or `{"name": …, "arguments": …}`."""
    function = _function_in(call)
    arguments = _arguments(function, note)
    if not isinstance(arguments, str):
        note("arguments as JSON instead of text")
    number = call.get("id")
    if not isinstance(number, str) or not number:
        note("calls without ids")
        number = next_id()
    return ToolCall(number, FunctionCall(function["name"], _as_text(arguments)))


def read_call_text(
    text: str, next_id: Callable[[], str], note: Note
) -> tuple[list[ToolCall], str | None]:
    """Calls written as text, `{"name": …, "arguments": …}`, several of them or a list, and the
    thought before them.
    """
    thought = _THOUGHT.match(text)
    calls: list[ToolCall] = []
    for part in json_parts(text[thought.end() :] if thought else text):
        written = _call_or_calls(part)
        for one in written if isinstance(written, list) else [written]:
            function = _function_in(one)
            arguments = _as_text(_arguments(function, note))
            calls.append(ToolCall(next_id(), FunctionCall(function["name"], arguments)))
    if not calls:
        raise msgspec.ValidationError(f"no call of a tool: {text[:80]!r}")
    return calls, thought[1] if thought else None


def _function_in(call: Any) -> dict[str, Any]:
    """Name and arguments, from within `function` or beside the id."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise msgspec.ValidationError(f"a call without a name: {str(call)[:80]!r}")
    others = function.keys() - _FUNCTION - (_AROUND if function is call else set())
    if function is not call:
        others |= call.keys() - _AROUND - {"function"}
    if others:
        field = sorted(others)[0][:80]
        raise msgspec.ValidationError(f"{field!r} is no field of calls of tools")
    return function


def _arguments(function: dict[str, Any], note: Note) -> Any:
    """The arguments, whatever they are: the rules see to that."""
    found = [key for key in ("arguments", "parameters") if function.get(key) is not None]
    if len(found) != 1:
        name = function["name"][:80]
        raise msgspec.ValidationError(
            f"call of {name!r}: `arguments` must be there once, `{{}}` if there are none"
        )
    if found == ["parameters"]:
        note("`parameters` instead of `arguments`")
    return function[found[0]]


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _call_or_calls(part: str) -> Any:
    """`part`, or its name and its arguments as they are if those alone may be what is broken: the
    rules mend them where nothing is lost.
    """
    try:
        return decode_part(part)
    except NotStorable:
        raise
    except msgspec.ValidationError:
        match = _NAME_AND_ARGUMENTS.fullmatch(part)
        if match is None or _NO_VALUE.search(match[2]):
            raise
        return {"name": match[1], "arguments": match[2]}
