"""What tells a conversation from all others."""

import hashlib
import json
from collections.abc import Sequence

import msgspec

from simia_async.messages import Message
from simia_async.synthesis.rules.json_walk import decoded


def fingerprint(messages: Sequence[Message]) -> str:
    """Equal for two conversations that say, call and observe the same.

    Ids of calls do not count, and arguments count as JSON values: the order of their keys and the
    space between them make no difference.
    """
    told = [
        (
            message.role,
            message.content,
            [
                (call.function.name, _value(call.function.arguments))
                for call in message.tool_calls or ()
            ],
        )
        for message in messages
    ]
    try:
        encoded = msgspec.json.encode(told)
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8; as an escape it has.
        encoded = json.dumps(told).encode()
    return hashlib.sha256(encoded).hexdigest()


def _value(arguments: str) -> list[str]:
    """The arguments in one spelling, marked as JSON or as mere text."""
    try:
        value = decoded(arguments)
        if value is not None:
            return ["json", msgspec.json.encode(value, order="sorted").decode()]
    except RecursionError:
        pass
    return ["text", arguments]
