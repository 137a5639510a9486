"""Rewriting of text that may be JSON."""

from collections.abc import Callable
from typing import Any

import msgspec

Rewrite = Callable[[str], str]


def rewrite_document(
    text: str, rewrite: Rewrite, rewrite_number: Rewrite | None = None, *, named: bool = False
) -> str:
    """Rewrite text; where it is JSON, value by value, so that its escapes are left alone.

    Keys are rewritten too, since they may be ids, as in `{"card_123": {…}}`; but not the outermost
    ones of a `named` document: those are the names of a tool's parameters.
    """
    value = decode_document(text)
    if value is None:
        return rewrite(text)
    if named and isinstance(value, dict):
        parts = {k: _rewrite_value(part, rewrite, rewrite_number) for k, part in value.items()}
        return _encode(parts)
    return _encode(_rewrite_value(value, rewrite, rewrite_number))


def decode_document(text: str) -> dict[str, Any] | list[Any] | None:
    """The JSON object or array that `text` is; None if it is something else."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any] | list[Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _encode(value: dict[str, Any] | list[Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _rewrite_value(value: Any, rewrite: Rewrite, rewrite_number: Rewrite | None) -> Any:
    match value:
        case str():
            return rewrite(value)
        case list():
            return [_rewrite_value(part, rewrite, rewrite_number) for part in value]
        case dict():
            return {
                rewrite(key): _rewrite_value(part, rewrite, rewrite_number)
                for key, part in value.items()
            }
        case int() if rewrite_number is not None and not isinstance(value, bool):
            return int(rewrite_number(str(value)))
    return value
