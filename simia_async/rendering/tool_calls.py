"""Tool calls as the policy writes them in text, in Hermes style."""

import re
from typing import Any

import msgspec

from simia_async.messages import FunctionCall, ToolCall

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_OPENING = "<tool_call>"


class _Written(msgspec.Struct):
    name: str
    arguments: dict[str, Any]


class ParsedReply(msgspec.Struct, frozen=True):
    """What the policy said beside its calls, its calls, and what is wrong with them if anything."""

    content: str
    calls: list[ToolCall]
    problem: str | None = None


def parse_reply(text: str, id_prefix: str) -> ParsedReply:
    """Split sampled text. Call ids are `id_prefix` and a number.

    A call that is not sound JSON makes a `problem` and no calls: nothing is guessed.
    """
    calls = []
    for number, match in enumerate(_CALL.finditer(text)):
        try:
            written = msgspec.json.decode(match[1], type=_Written)
        except msgspec.DecodeError as error:
            return ParsedReply(text, [], f"malformed tool call: {error}")
        arguments = msgspec.json.encode(written.arguments).decode()
        calls.append(ToolCall(f"{id_prefix}_{number}", FunctionCall(written.name, arguments)))
    content = _CALL.sub("", text).strip()
    if _OPENING in content:
        return ParsedReply(text, [], "malformed tool call: not closed by </tool_call>")
    return ParsedReply(content, calls)
