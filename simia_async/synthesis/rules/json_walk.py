"""JSON values with the property they stand under."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

Leaf = tuple[str, str | int]
"""A property and its value, or one value of the list that is its value."""

names_id = re.compile(
    r"(?:\A|_)(?:ids?|uuid|numbers?|reference|ref|sku)\Z|[a-z](?:I[dD]s?|Number)\Z"
).search
"""Whether a property is named as those are that hold ids and numbers: `order_id`, `userId`."""


def leaves(value: Any) -> Iterator[Leaf]:
    """Every text and whole number in `value`, however deep, with the property it stands under."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.items())
        elif isinstance(part, list):
            waiting.extend((name, each) for each in part)
        elif isinstance(part, str) or (isinstance(part, int) and not isinstance(part, bool)):
            yield name, part


def decoded(text: str | None) -> Any:
    """The JSON value of a text; None if it is not JSON."""
    try:
        return msgspec.json.decode(text or "")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
