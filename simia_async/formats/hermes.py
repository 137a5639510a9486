"""Hermes chat text, as Qwen 2.5 and Qwen 3 are trained on it: `{"messages": [{role, content}]}`.

The roles are system, user and assistant. Rendered as plain ChatML these messages are, character by
character, what Qwen's chat template makes of the conversation in OpenAI's format with arguments as
objects: tools in a block at the end of the system text, calls as `<tool_call>` blocks at the end of
a reply, observations as `<tool_response>` blocks in a turn of the user.

Reading takes calls and tools back out of the text, and refuses a reply that has `<tool_call>`
anywhere but in well-formed blocks at its end, within `<think>` too. So a conversation is refused by
`write` if a reply of its agent names that tag, if a user's text begins with `<tool_response>`, or
if a text holds the tags in a way that moves the border between two observations. In a user's text
`<tool_call>` is mere text. `<|im_end|>` and its like are a tokenizer's matter: no file can tell
them from text.
"""

import re
from typing import Any

from simia_async.formats.chat_text import (
    ChatText,
    WrittenCall,
    arguments_of,
    chat_line,
    read_texts,
)
from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact, decode, spaced
from simia_async.formats.normal_form import normal_form, written_soundly
from simia_async.formats.refusals import NotReadable
from simia_async.formats.transcript import Transcript
from simia_async.messages import FunctionCall, Message, ToolSchema

_BEFORE_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
)
_BEHIND_TOOLS = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
_CALL = re.compile(r"\s*<tool_call>\s*(\{.*\})\s*\Z", re.DOTALL)
_RESPONSE = "<tool_response>\n", "\n</tool_response>"


def write(conversation: Conversation) -> dict[str, Any]:
    """The line. Raises `NotWritable` for what the format cannot hold."""
    meant = normal_form(conversation)
    texts: list[ChatText] = []
    messages = meant.messages
    if meant.tools:
        system, messages = _split_system(messages)
        texts.append(ChatText("system", system_text(system, meant.tools)))
    for message in messages:
        if message.role == "tool" and texts and _is_response(texts[-1]):
            texts[-1].content += "\n" + message_text(message)
        elif message.role == "tool":
            texts.append(ChatText("user", message_text(message)))
        else:
            texts.append(ChatText(message.role, message_text(message)))
    return written_soundly(chat_line(meant, texts), meant, read)


def read(line: dict[str, Any]) -> Conversation:
    """Raises `NotReadable` naming the message."""
    return read_texts(line, _without_tools, _add)


def is_hermes(messages: list[Any]) -> bool:
    """Whether chat messages carry tools or calls within their text."""
    texts = [(m.get("role"), m.get("content")) for m in messages if isinstance(m, dict)]
    return any(
        (role == "assistant" and "<tool_call>" in text)
        or (role == "system" and text.endswith(_BEHIND_TOOLS))
        for role, text in texts
        if isinstance(text, str)
    )


def _split_system(messages: list[Message]) -> tuple[str | None, list[Message]]:
    if messages and messages[0].role == "system":
        return messages[0].content, messages[1:]
    return None, messages


def system_text(system: str | None, tools: list[ToolSchema]) -> str:
    """The system text with the tools in it."""
    before = "" if system is None else system + "\n\n"
    return before + _BEFORE_TOOLS + "\n".join(map(spaced, tools)) + _BEHIND_TOOLS


def _without_tools(text: str) -> tuple[str | None, list[ToolSchema]]:
    start = text.rfind(_BEFORE_TOOLS)
    if start < 0 or not text.endswith(_BEHIND_TOOLS):
        return text, []
    listed = text[start + len(_BEFORE_TOOLS) : -len(_BEHIND_TOOLS)]
    tools = [decode(tool, ToolSchema) for tool in listed.split("\n")]
    return text[:start].removesuffix("\n\n") or None, tools


def message_text(message: Message) -> str:
    """What one message is as text, calls and observations in their tags."""
    content = message.content or ""
    if message.role == "tool":
        return content.join(_RESPONSE)
    blocks = [
        f"<tool_call>\n{_call_text(call.function)}\n</tool_call>"
        for call in message.tool_calls or ()
    ]
    return "\n".join([content] * bool(content or not blocks) + blocks)


def _call_text(call: FunctionCall) -> str:
    name, arguments = spaced(call.name), spaced(arguments_of(call))
    return f'{{"name": {name}, "arguments": {arguments}}}'


def _is_response(text: ChatText) -> bool:
    return text.role == "user" and text.content.startswith("<tool_response>")


def _add(transcript: Transcript, message: ChatText) -> None:
    text = message.content
    if message.role == "assistant":
        said, calls = _split_calls(text)
        if calls:
            transcript.call(said, calls)
        else:
            transcript.say("assistant", said)
    elif _is_response(message) or message.role == "tool" or message.role == "ipython":
        transcript.observe(_split_responses(text))
    else:
        transcript.say(message.role, text)


def _split_calls(text: str) -> tuple[str, list[FunctionCall]]:
    start = text.find("<tool_call>")
    if start < 0:
        return text, []
    *blocks, rest = text[start:].split("</tool_call>")
    if rest.strip() or not blocks:
        raise NotReadable("`<tool_call>` is not closed, or text follows the calls")
    return text[:start].removesuffix("\n"), [_read_call(block) for block in blocks]


def _read_call(block: str) -> FunctionCall:
    match = _CALL.match(block)
    if not match:
        raise NotReadable("a `<tool_call>` holds no JSON object")
    call = decode(match[1], WrittenCall)
    return FunctionCall(call.name, compact(call.arguments))


def _split_responses(text: str) -> list[str]:
    opening, closing = _RESPONSE
    if not (text.startswith(opening) and text.endswith(closing)):
        raise NotReadable("expected `<tool_response>`, the text and `</tool_response>`, in lines")
    return text[len(opening) : -len(closing)].split(f"{closing}\n{opening}")
