"""Tool calls as the policy writes them in text: in Hermes' style, and in Llama 3's."""

import re
from typing import Any

import msgspec

from simia_async.formats.llama3 import split_calls
from simia_async.messages import FunctionCall, ToolCall

_PIECE = re.compile(
    r"(?P<thought><think>.*?(?:</think>|\Z))|<tool_call>\s*(?P<call>.*?)\s*</tool_call>", re.DOTALL
)


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

    A call that is not sound JSON makes a `problem` and no calls: nothing is guessed. What stands
    within `<think>` is thought, not done.
    """
    calls: list[ToolCall] = []
    for match in _PIECE.finditer(text):
        if match["call"] is None:
            continue
        try:
            written = msgspec.json.decode(match["call"], type=_Written)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return ParsedReply(text, [], f"malformed tool call: {error}")
        arguments = msgspec.json.encode(written.arguments).decode()
        call_id = f"{id_prefix}_{len(calls)}"
        calls.append(ToolCall(call_id, FunctionCall(written.name, arguments)))
    if "<tool_call>" in _PIECE.sub("", text):
        return ParsedReply(text, [], "malformed tool call: not closed by </tool_call>")
    content = _PIECE.sub(lambda match: match["thought"] or "", text).strip()
    return ParsedReply(content, calls)


_PYTHON_TAG = "<|python_tag|>"
_LOOKS_LIKE_A_CALL = re.compile(r'\s*\{\s*"name"\s*:')


def parse_llama3(text: str, id_prefix: str) -> ParsedReply:
    """The same for Llama 3's JSON calls: `{"name": …, "parameters": …}`, joined by `; `."""
    tagged = text.startswith(_PYTHON_TAG)
    said, written = split_calls(text.removeprefix(_PYTHON_TAG).strip())
    calls = [ToolCall(f"{id_prefix}_{number}", call) for number, call in enumerate(written)]
    if not calls and (tagged or _LOOKS_LIKE_A_CALL.match(said)):
        return ParsedReply(text, [], "malformed tool call: not the JSON of a call, or cut off")
    return ParsedReply(said, calls)
