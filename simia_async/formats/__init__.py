"""File formats of conversations, one module a format, each with its reader beside its writer."""

from simia_async.formats.conversation import Conversation
from simia_async.formats.reading import read_conversations

__all__ = ["Conversation", "read_conversations"]
