"""File formats of conversations, one module a format, each with its reader beside its writer."""

from simia_async.formats.conversation import Conversation

__all__ = ["Conversation"]
