"""Arguments of calls are JSON objects; small slips are mended where nothing is lost."""

import json
import re
from typing import Any

import json_repair
import msgspec

from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.code_answers import arguments_of
from simia_async.synthesis.rules.verdict import Case, Mended, Reject

_MOST_CHARACTERS, _MOST_BRACKETS = 20_000, 200
"""json_repair takes quadratic time on nested slips; what is larger is not mended."""


_NO_VALUE = re.compile(r":\s*[,}\]]")
"""json_repair makes an empty text of a value that is not there."""


def arguments_are_json(case: Case) -> Mended | None:
    """Arguments are a JSON object. A slip is mended if every letter and digit of the text comes
    through; what cannot be mended is never made `{}`.
    """
    messages: list[Message] | None = None
    reasons = []
    for at, message in enumerate(case.messages):
        calls = message.tool_calls or ()
        if any(arguments_of(call) is None for call in calls):
            messages = messages or list(case.messages)
            mended = [_mended(call, at) for call in calls]
            messages[at] = msgspec.structs.replace(message, tool_calls=mended)
            reasons += [
                f"turn {at}: mended the JSON of the arguments of {new.function.name}"
                for old, new in zip(calls, mended, strict=True)
                if old is not new
            ]
    return Mended(messages, reasons) if messages else None


def _mended(call: ToolCall, at: int) -> ToolCall:
    if arguments_of(call) is not None:
        return call
    name = call.function.name
    found = _object_in(call.function.arguments)
    if not found:
        raise Reject(f"turn {at}: the arguments of {name} are not a JSON object")
    arguments = msgspec.json.encode(found).decode()
    return msgspec.structs.replace(call, function=FunctionCall(name, arguments))


def _object_in(text: str) -> dict[str, Any] | None:
    """The object that `text` was meant to be; None if that is not beyond doubt."""
    if len(text) > _MOST_CHARACTERS or text.count("{") + text.count("[") > _MOST_BRACKETS:
        return None
    text = _unwrapped(text)
    try:
        value: Any = json_repair.loads(text)
        return value if isinstance(value, dict) and _carries_all(text, value) else None
    except (ValueError, RecursionError):
        return None


def _unwrapped(text: str) -> str:
    """Without the fence or the quotes around it, if JSON was encoded twice."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    try:
        return msgspec.json.decode(text, type=str).strip()
    except (msgspec.DecodeError, UnicodeError):
        return text


def _carries_all(text: str, value: dict[str, Any]) -> bool:
    """Whether nothing was lost or made up, and the text was not cut off within a value."""
    if text[-1:] not in {"}", "]", '"', "'"} or text.replace('\\"', "").count('"') % 2:
        return False
    if _NO_VALUE.search(text):
        return False
    encoded = msgspec.json.encode(value).decode()
    if msgspec.json.decode(encoded) != value:
        return False  # NaN and infinity are no JSON
    return _payload(text) in map(_payload, (encoded, json.dumps(value), repr(value)))


def _payload(text: str) -> str:
    """Letters and digits alone, escapes left out."""
    return re.sub(r"\\[nrtbf\"'\\/]|[\W_]", "", text).casefold()
