"""How a policy writes tool calls as text, and how it is told of tools and observations then."""

from collections.abc import Callable

import msgspec

from simia_async.formats import hermes, llama3
from simia_async.messages import Message, ToolSchema
from simia_async.rendering.tool_calls import ParsedReply, parse_llama3, parse_reply


class CallStyle(msgspec.Struct, frozen=True):
    """One way of writing."""

    system_text: Callable[[str | None, list[ToolSchema]], str]
    """The system text with the tools in it."""
    message_text: Callable[[Message], str]
    observer: str
    """The role that speaks observations."""
    parse: Callable[[str, str], ParsedReply]
    """A reply's text and a prefix of call ids to its calls."""

    def as_text(self, message: Message) -> Message:
        """The message as the policy's endpoint is told of it: text alone."""
        role = message.role if message.role != "tool" else self.observer
        return SaidAs(role, self.message_text(message))


class SaidAs(Message, frozen=True, gc=False):
    """A message of text styles, whose roles are not only OpenAI's."""

    role: str  # type: ignore[assignment]


HERMES = CallStyle(hermes.system_text, hermes.message_text, "user", parse_reply)
LLAMA3 = CallStyle(llama3.system_text, llama3.message_text, "ipython", parse_llama3)
