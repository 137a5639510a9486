"""A conversation as files hold it."""

import msgspec

from simia_async.messages import Message, ToolSchema


class Conversation(msgspec.Struct, frozen=True):
    """What was said, called and observed, and with which tools."""

    messages: list[Message]
    """The system message first, where there is one."""
    tools: list[ToolSchema] = []
    id: str = ""
    reward: float | None = None
    """The true reward, where the file knows it."""
    incomplete: str | None = None
    """What the file does not tell of the conversation; None if it is all there."""
