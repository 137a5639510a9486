"""What an observation says, as an agent that reads its text would understand it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

Leaf = tuple[str, str]
"""Where a value stands and the value, as JSON. Places in lists have no number: `/flights/-/id`."""

_ITEM = "-"


def read_observation(text: str | None) -> Any:
    """The JSON value that an observation's text is; text that is no JSON stays text, stripped."""
    stripped = (text or "").strip()
    try:
        return msgspec.json.decode(stripped)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return stripped


def canonical(value: Any) -> str:
    """A JSON value written one way, so that equal values are equal text: 26.0 is 26, keys are
    sorted, the order of lists counts.
    """
    return msgspec.json.encode(_plain(value), order="sorted").decode()


def leaves(value: Any) -> Counter[Leaf]:
    """Every value that is neither object nor list, and every empty one of these, with its place.

    A list's items are told without their numbers, so that another order or one item more does not
    make all that follows differ.
    """
    return Counter((place, canonical(leaf)) for place, leaf in _leaves(value, ""))


def key_places(value: Any) -> set[str]:
    """The place of every key of every object."""
    return set(_keys(value, ""))


def tells_error(value: Any) -> bool:
    """Whether an observation tells that the call failed.

    Files mark no errors, so its form decides: a text that begins with `error`, or an object with a
    key `error` that holds something, `is_error` or `isError` that is true, or `success` or `ok`
    that is false.
    """
    if isinstance(value, str):
        return value.strip().lower().startswith("error")
    if not isinstance(value, dict):
        return False
    if value.get("error") or value.get("is_error") is True or value.get("isError") is True:
        return True
    return value.get("success") is False or value.get("ok") is False


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    parts = _parts(value, place)
    if not parts:
        yield place, value
    for where, each in parts:
        yield from _leaves(each, where)


def _keys(value: Any, place: str) -> Iterator[str]:
    for where, each in _parts(value, place):
        if isinstance(value, dict):
            yield where
        yield from _keys(each, where)


def _parts(value: Any, place: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{place}/{key}", each) for key, each in value.items()]
    if isinstance(value, list):
        return [(f"{place}/{_ITEM}", each) for each in value]
    return []
