"""Chat whose calls stand within the text: the line that Hermes' and Llama 3's formats share."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import convert, decode
from simia_async.formats.refusals import NotReadable
from simia_async.formats.transcript import Transcript
from simia_async.messages import FunctionCall, ToolSchema


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


def read_texts(
    line: dict[str, Any],
    without_tools: Callable[[str], tuple[str | None, list[ToolSchema]]],
    add: Callable[[Transcript, ChatText], None],
) -> Conversation:
    """The conversation of a line: `without_tools` takes the tools out of the system text, which is
    None if nothing is left of it, and `add` tells what any other message says.

    Raises `NotReadable` naming the field or the message.
    """
    chat = convert(line, Chat)
    transcript = Transcript()
    tools: list[ToolSchema] = []
    for at, message in enumerate(chat.messages):
        try:
            if at == 0 and message.role == "system":
                system, tools = without_tools(message.content)
                if system is not None:
                    transcript.say("system", system)
            else:
                add(transcript, message)
        except NotReadable as error:
            raise NotReadable(f"message {at} ({message.role}): {error}") from error
    return Conversation(transcript.messages, tools, str(chat.id), chat.reward)


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
