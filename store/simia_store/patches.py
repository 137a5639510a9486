"""JSON Patch (RFC 6902) on the state of a world; what it does not touch is shared, not copied."""

from typing import Any

import jsonpatch
from jsonpointer import JsonPointer, JsonPointerException


class PatchError(ValueError):
    """An operation does not fit the state; the text says so of it."""


def patched(state: dict[str, Any], ops: list[dict[str, Any]]) -> dict[str, Any]:
    """A new state with the operations applied; `state` stays as it is.

    What the operations do not touch is shared by both. Raises `PatchError`.
    """
    result: Any = state
    copies: dict[int, Any] = {}
    try:
        for op in ops:
            for pointer in (op.get("from"), op.get("path")):
                if isinstance(pointer, str):
                    result = _with_own_path(result, JsonPointer(pointer).parts, copies)
            result = jsonpatch.JsonPatch([op]).apply(result, in_place=True)
    except (
        jsonpatch.JsonPatchException,
        JsonPointerException,
        TypeError,
        ValueError,
        LookupError,
    ) as error:
        raise PatchError(f"does not fit the state: {error}") from error
    if not isinstance(result, dict):
        raise PatchError("replaces the whole state")
    return result


def _with_own_path(root: Any, parts: list[str], copies: dict[int, Any]) -> Any:
    """The same with the containers along a path copied, unless they are in `copies`, by id."""
    root = node = _own(root, copies)
    for part in parts[:-1]:
        key: Any = int(part) if isinstance(node, list) and part.isdecimal() else part
        try:
            child = _own(node[key], copies)
        except (LookupError, TypeError):
            break  # Applying the operation tells what is wrong with it.
        node[key] = node = child
    return root


def _own(value: Any, copies: dict[int, Any]) -> Any:
    if not isinstance(value, dict | list) or id(value) in copies:
        return value
    copy = value.copy()
    copies[id(copy)] = copy
    return copy
