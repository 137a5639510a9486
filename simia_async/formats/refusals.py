"""What stands between a conversation and a file: one type a direction."""

from simia_async.errors import UsageError


class NotReadable(UsageError):
    """An object does not follow the format that its keys promise. Names the field."""


class NotWritable(UsageError):
    """A format cannot hold this conversation without changing what it means."""
