"""Llama 3.1's JSON tool calling as chat text: `{"messages": [{role, content}]}`.

The roles are system, user, assistant and `ipython`, who speaks observations. The system text begins
with the tools in the words of Llama 3.1's own chat template (`tools_in_user_message=False`), so
that this template, given these messages and no tools, makes of them what it makes of the
conversation in OpenAI's format, but for its line `Environment: ipython`. A call is
`{"name": …, "parameters": …}`; several are joined by `; `, as vLLM's parser splits them and as the
template itself cannot. Text beside a call stands in the lines before it.

Reading takes tools back out of the system text and calls out of the end of a reply. So a
conversation is refused by `write` if the last line of a reply looks like such a call, or if a
system text looks like the head that lists tools, or begins where the list ends with another JSON
object.
"""

import json
import re
from typing import Any

import msgspec

from simia_async.formats.chat_text import ChatText, arguments_of, chat_line, read_texts
from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact, decode, spaced
from simia_async.formats.normal_form import normal_form, written_soundly
from simia_async.formats.refusals import NotReadable
from simia_async.formats.transcript import Transcript
from simia_async.messages import FunctionCall, Message, ToolSchema

_BEFORE_TOOLS = (
    "You have access to the following functions. To call a function, please respond with JSON for "
    'a function call.Respond in the format {"name": function name, "parameters": dictionary of '
    "argument name and its value}.Do not use variables.\n\n"
)
_HEADS = (
    _BEFORE_TOOLS,
    _BEFORE_TOOLS.replace("call.Respond", "call. Respond").replace("value}.Do", "value}. Do"),
)
"""As Llama's template writes it, and as vLLM's and LLaMA-Factory's do."""
_CALL_STARTS = re.compile(r'(?:\A|\n)(?=\{"name": )')
_SCANNER = json.JSONDecoder()


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any]


def write(conversation: Conversation) -> dict[str, Any]:
    """The line. Raises `NotWritable` for what the format cannot hold."""
    meant = normal_form(conversation)
    messages = meant.messages
    texts: list[ChatText] = []
    if meant.tools:
        has_system = bool(messages) and messages[0].role == "system"
        system = messages[0].content or "" if has_system else ""
        texts.append(ChatText("system", system_text(system, meant.tools)))
        messages = messages[has_system:]
    for message in messages:
        role = "ipython" if message.role == "tool" else message.role
        texts.append(ChatText(role, message_text(message)))
    return written_soundly(chat_line(meant, texts), meant, read)


def read(line: dict[str, Any]) -> Conversation:
    """Raises `NotReadable` naming the message."""
    return read_texts(line, _without_tools, _add)


def is_llama3(messages: list[Any]) -> bool:
    """Whether chat messages carry tools as Llama 3 does, or observations of `ipython`."""
    texts = [(m.get("role"), m.get("content")) for m in messages if isinstance(m, dict)]
    return any(
        role == "ipython"
        or (role == "system" and isinstance(text, str) and text.startswith(_HEADS))
        for role, text in texts
    )


def system_text(system: str | None, tools: list[ToolSchema]) -> str:
    """The system text with the tools in it."""
    listed = "".join(spaced(tool, indent=4) + "\n\n" for tool in tools)
    return _BEFORE_TOOLS + listed + (system or "")


def message_text(message: Message) -> str:
    """What one message is as text, with its calls."""
    calls = "; ".join(_call_text(call.function) for call in message.tool_calls or ())
    said = message.content or ""
    return f"{said}\n{calls}" if said and calls else said or calls


def _call_text(call: FunctionCall) -> str:
    return f'{{"name": {spaced(call.name)}, "parameters": {spaced(arguments_of(call))}}}'


def _without_tools(text: str) -> tuple[str | None, list[ToolSchema]]:
    head = next(filter(text.startswith, _HEADS), "")
    tools: list[ToolSchema] = []
    at = len(head)
    while head and (end := _end_of_json(text, at)) and text.startswith("\n\n", end):
        tools.append(decode(text[at:end], ToolSchema))
        at = end + 2
    return (text[at:] or None, tools) if tools else (text, [])


def _add(transcript: Transcript, message: ChatText) -> None:
    if message.role == "ipython" or message.role == "tool":
        transcript.observe([message.content])
    elif message.role == "assistant":
        said, calls = split_calls(message.content)
        if calls:
            transcript.call(said, calls)
        else:
            transcript.say("assistant", said)
    else:
        transcript.say(message.role, message.content)


def split_calls(text: str) -> tuple[str, list[FunctionCall]]:
    """A reply's text without its calls, and the calls."""
    for start in _CALL_STARTS.finditer(text):
        if calls := _read_calls(text, start.end()):
            return text[: start.start()], calls
    return text, []


def _read_calls(text: str, at: int) -> list[FunctionCall]:
    """The calls from `at` to the end of the text; none if there is anything else."""
    calls: list[FunctionCall] = []
    while end := _end_of_json(text, at):
        try:
            call = decode(text[at:end], _Call)
        except NotReadable:
            return []
        calls.append(FunctionCall(call.name, compact(call.parameters)))
        if not text[end:].strip():
            return calls
        if not text.startswith("; ", end):
            return []
        at = end + 2
    return []


def _end_of_json(text: str, at: int) -> int:
    """Where the JSON object that begins at `at` ends; 0 if there is none."""
    if not text.startswith("{", at):
        return 0
    try:
        return _SCANNER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return 0
