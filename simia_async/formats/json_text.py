"""JSON inside of text, read strictly and written in the two ways that formats ask for."""

import json
import re
from typing import Any, TypeVar

import msgspec

from simia_async.formats.refusals import NotReadable, NotWritable

T = TypeVar("T")

_HALF_A_PAIR = re.compile(
    r"\\u[dD][89abAB]\w\w(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]\w\w)\\u[dD][c-fC-F]\w\w"
)


def spaced(value: Any, indent: int | None = None) -> str:
    """JSON as chat templates write it: a space behind `,` and `:`, no escapes beyond ASCII.

    Raises `NotWritable` for what is nested too deep.
    """
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except RecursionError as error:
        raise NotWritable("a JSON value in it is nested too deep") from error


def compact(value: Any) -> str:
    """JSON without spaces, keys in their order."""
    return msgspec.json.encode(value).decode()


def decode(text: str | bytes, kind: type[T], what: str = "") -> T:
    """Raises `NotReadable`, beginning with `what`, for what is no JSON of this kind."""
    named = f"{what}: " if what else ""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise NotReadable(f"{named}{error}{_note(text)}") from error
    except UnicodeError as error:
        raise NotReadable(f"{named}is not UTF-8 text: {error}") from error
    except RecursionError as error:
        raise NotReadable(f"{named}is nested too deep") from error


def convert(value: Any, kind: type[T]) -> T:
    """A decoded value as a Struct. Raises `NotReadable` that names the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NotReadable(str(error)) from error
    except RecursionError as error:
        raise NotReadable("is nested too deep") from error


def _note(text: str | bytes) -> str:
    """The decoder calls half of a surrogate pair a truncated input."""
    shown = text if isinstance(text, str) else text.decode(errors="replace")
    found = _HALF_A_PAIR.search(shown)
    return f" (perhaps for `{found[0]}`, half of a surrogate pair)" if found else ""
