"""JSON as models write it: with prose around it, a fence, a comma too many, a last brace too few.

What stands within strings is never touched: long strings of JSON within JSON are what general
repairers cut short without a word.
"""

import json
import re
from typing import Any

import json_repair
import msgspec

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_COMMA_TOO_MANY = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[,\]}])', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}
_tolerant = json.JSONDecoder(strict=False)
"""Takes line breaks within strings, which models forget to escape."""


def whole_json(text: str) -> Any:
    """The JSON object or list in `text`, as long as nothing of it is missing but its last brace.

    Raises `msgspec.ValidationError` if there is none, or it breaks off, or is broken elsewhere.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    outer = _COMMA_TOO_MANY.sub(lambda match: match[1] or "", _outer(text))
    try:
        value = _tolerant.decode(outer)
        msgspec.json.encode(value)
    except (ValueError, RecursionError) as error:
        raise msgspec.ValidationError(f"not JSON: {error}") from error
    return value


def some_json(text: str) -> Any:
    """The same, and where that fails whatever a general repairer makes of `text`. For short answers
    whose every field is checked.

    Raises `msgspec.ValidationError` for what could not be stored.
    """
    try:
        return whole_json(text)
    except msgspec.ValidationError:
        pass
    try:
        repaired: Any = json_repair.loads(text)
        msgspec.json.encode(repaired)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.ValidationError(f"not text that can be stored: {error}") from error
    return repaired


def _outer(text: str) -> str:
    """The first object or list in `text`, from its brace to the one that closes it."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        raise msgspec.ValidationError("no JSON in it")
    open_braces: list[str] = []
    for token in _TOKEN.finditer(text, start):
        brace = token[0]
        if brace in _CLOSING:
            open_braces.append(_CLOSING[brace])
        elif brace[0] != '"':
            if not open_braces or open_braces.pop() != brace:
                raise msgspec.ValidationError("its braces do not match")
            if not open_braces:
                return text[start : token.end()]
    rest = text[start:].rstrip(" \t\r\n,`")
    # A list that was closed is all there, though the object around it was not.
    if open_braces == ["}"] and rest.endswith("]"):
        return rest + "}"
    raise msgspec.ValidationError("it breaks off before its end")
