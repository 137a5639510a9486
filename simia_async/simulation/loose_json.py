"""JSON as models write it: with prose around it, a fence, a comma too many, a last brace too few.

What stands within strings is never touched: long strings of JSON within JSON are what general
repairers cut short without a word. Everything here but the general repairer, which is capped, takes
time in proportion to the text.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import json_repair
import msgspec

_STRING = r'"(?:[^"\\]++|\\.)*+"?'
"""A string, or what follows the quote of one that is never closed: no quote is looked at twice."""
_TOKEN = re.compile(rf"{_STRING}|[][{{}}]", re.DOTALL)
_COMMA_TOO_MANY = re.compile(rf"({_STRING})|,(?=\s*[,\]}}])", re.DOTALL)
_START = re.compile(r"""\{(?=\s*(?:["'}]|\w++\s*:))|\[(?=\s*["'{\[\]\d-])""")
"""A brace that begins a value, sound or not; not one of the prose, as in `{x}` and `[Note]`."""
_CLOSING = {"{": "}", "[": "]"}
_MOST_STARTS = 20
_MOST_CHARACTERS, _MOST_BRACKETS = 20_000, 200
"""json_repair takes quadratic time on nested slips; what is larger is not repaired."""
_tolerant = json.JSONDecoder(strict=False)
"""Takes line breaks within strings, which models forget to escape."""


class NotStorable(msgspec.ValidationError):
    """What was read is nothing that JSON has: NaN, infinity, half of a surrogate pair."""


def whole_json(text: str, fits: Callable[[Any], bool] | None = None) -> Any:
    """The JSON object or list in `text`, as long as nothing of it is missing but its last brace.

    The first that `fits` if there are several: by default an object, or a list of objects. If none
    does, the first of all. Raises `msgspec.ValidationError` if there is none, or it breaks off, or
    is broken elsewhere, or holds what JSON cannot (NaN, infinity, halves of surrogate pairs).
    """
    fits = fits or _is_of_some_size
    found: list[Any] = []
    problem: msgspec.ValidationError | None = None
    for part in json_parts(text):
        try:
            value = decode_part(part)
        except msgspec.ValidationError as error:
            problem = problem or error
            continue
        if fits(value):
            return value
        found.append(value)
    if problem or not found:
        raise problem or msgspec.ValidationError("no JSON in it")
    return found[0]


def some_json(text: str) -> Any:
    """The same, and where that fails whatever a general repairer makes of `text`. For short answers
    whose every field is checked.

    Raises `msgspec.ValidationError` for what could not be stored, and for what is too large to be
    repaired.
    """
    try:
        return whole_json(text)
    except msgspec.ValidationError:
        if len(text) > _MOST_CHARACTERS or text.count("{") + text.count("[") > _MOST_BRACKETS:
            raise
    try:
        repaired: Any = json_repair.loads(text)
    except (ValueError, RecursionError) as error:
        raise msgspec.ValidationError(f"not JSON: {error}") from error
    return _storable(repaired)


def json_parts(text: str) -> Iterator[str]:
    """The objects and lists in `text`, each from its brace to the one that closes it, one after
    the other; what is within one is none of its own.

    Raises `msgspec.ValidationError` where one breaks off, so that no part of it is taken for all,
    and after twenty of them.
    """
    at = 0
    for _ in range(_MOST_STARTS):
        start = _START.search(text, at)
        if start is None:
            return
        part, at = _part(text, start.start())
        yield part
    raise msgspec.ValidationError(f"more than {_MOST_STARTS} objects or lists beside each other")


def decode_part(part: str) -> Any:
    """What one of `json_parts` says. Raises `msgspec.ValidationError` if it is broken, and
    `NotStorable`.
    """
    try:
        value = _tolerant.decode(_COMMA_TOO_MANY.sub(lambda match: match[1] or "", part))
    except (ValueError, RecursionError) as error:
        raise msgspec.ValidationError(f"not JSON: {error}") from error
    return _storable(value)


def _part(text: str, start: int) -> tuple[str, int]:
    """The object or list that begins at `start`, and where it ends."""
    open_braces: list[str] = []
    for token in _TOKEN.finditer(text, start):
        brace = token[0]
        if brace in _CLOSING:
            open_braces.append(_CLOSING[brace])
        elif brace[0] != '"':
            if not open_braces or open_braces.pop() != brace:
                raise msgspec.ValidationError("its braces do not match")
            if not open_braces:
                return text[start : token.end()], token.end()
    rest = text[start:].rstrip(" \t\r\n,`")
    # What was closed is all there, though the object around it was not.
    if open_braces == ["}"] and rest.endswith(("]", "}")):
        return rest + "}", len(text)
    raise msgspec.ValidationError("it breaks off before its end")


def _storable(value: Any) -> Any:
    """`value`, which comes back from JSON as it is. Raises `NotStorable` if it does not."""
    try:
        same = msgspec.json.decode(msgspec.json.encode(value)) == value
    except (ValueError, RecursionError) as error:
        raise NotStorable(f"not text that can be stored: {error}") from error
    if not same:
        raise NotStorable("not JSON: it holds NaN or a number that is too large")
    return value


def _is_of_some_size(value: Any) -> bool:
    return bool(value) and (isinstance(value, dict) or any(isinstance(one, dict) for one in value))
