"""OpenAI chat format, one JSON object a line: `{"messages": […], "tools": […]}`.

The only format beside Parquet that holds everything a `Conversation` does. `id`, `reward` and
`incomplete` stand beside the messages where they are known. Arguments of a call are JSON text, as
OpenAI sends them; an object in their place is accepted and becomes compact JSON text.
"""

from typing import Any, Literal

import msgspec

from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact, convert, decode
from simia_async.messages import FunctionCall, Message, Role, ToolCall, ToolSchema


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any]


class _Call(msgspec.Struct):
    id: str
    function: _Function
    type: Literal["function"] = "function"


class _Message(msgspec.Struct):
    role: Role
    content: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None


class _Line(msgspec.Struct):
    messages: list[_Message]
    tools: list[ToolSchema] | str | None = None
    id: str | int = ""
    reward: float | None = None
    incomplete: str | None = None


def read(line: dict[str, Any]) -> Conversation:
    """Raises `NotReadable` naming the field."""
    parsed = convert(line, _Line)
    tools = parsed.tools or []
    return Conversation(
        [_message(message) for message in parsed.messages],
        decode(tools, list[ToolSchema], "`tools`") if isinstance(tools, str) else tools,
        str(parsed.id),
        parsed.reward,
        parsed.incomplete,
    )


def read_messages(messages: Any) -> list[Message]:
    """Chat messages in OpenAI's wire format. Raises `NotReadable` naming the field."""
    return [_message(message) for message in convert(messages, list[_Message])]


def write(conversation: Conversation) -> dict[str, Any]:
    """The line; any conversation has one."""
    line: dict[str, Any] = {"id": conversation.id} if conversation.id else {}
    line["messages"] = [message.as_wire() for message in conversation.messages]
    line["tools"] = conversation.tools
    if conversation.reward is not None:
        line["reward"] = conversation.reward
    if conversation.incomplete is not None:
        line["incomplete"] = conversation.incomplete
    return line


def _message(read: _Message) -> Message:
    return Message(
        read.role,
        read.content,
        None if read.tool_calls is None else [_call(call) for call in read.tool_calls],
        read.tool_call_id,
        read.name,
        read.reasoning_content,
    )


def _call(read: _Call) -> ToolCall:
    arguments = read.function.arguments
    text = arguments if isinstance(arguments, str) else compact(arguments)
    return ToolCall(read.id, FunctionCall(read.function.name, text))
