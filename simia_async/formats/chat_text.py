"""Chat whose calls stand within the text: the line that Hermes' and Llama 3's formats share."""

from typing import Any, Literal

import msgspec

from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import convert, decode
from simia_async.messages import FunctionCall


class ChatText(msgspec.Struct):
    """One message. `ipython` is who speaks observations in Llama 3's format."""

    role: Literal["system", "user", "assistant", "tool", "ipython"]
    content: str = ""


class Chat(msgspec.Struct):
    """One line."""

    messages: list[ChatText]
    id: str | int = ""
    reward: float | None = None


class WrittenCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call in Hermes' words, and in ShareGPT's."""

    name: str
    arguments: dict[str, Any]


def read_chat(line: dict[str, Any]) -> Chat:
    """Raises `NotReadable` naming the field."""
    return convert(line, Chat)


def chat_line(conversation: Conversation, messages: list[ChatText]) -> dict[str, Any]:
    """The line of a conversation that says `messages`."""
    line: dict[str, Any] = {"id": conversation.id} if conversation.id else {}
    line["messages"] = msgspec.to_builtins(messages)
    if conversation.reward is not None:
        line["reward"] = conversation.reward
    return line


def arguments_of(call: FunctionCall) -> dict[str, Any]:
    """Arguments of a call in normal form."""
    return decode(call.arguments, dict[str, Any])
