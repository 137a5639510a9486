"""Typed state of a simulated world: changes proposed by the simulator, applied by code."""

from typing import Any

import jsonpatch
from jsonpointer import JsonPointer, JsonPointerException

from simia_async.errors import BadReply


def apply_ops(state: dict[str, Any], ops: list[dict[str, Any]]) -> dict[str, Any]:
    """A new state with the JSON Patch (RFC 6902) applied; `state` stays as it is.

    What the operations do not touch is shared by both. Raises `BadReply` if an operation does not
    fit the state.
    """
    patched: Any = state
    copies: dict[int, Any] = {}
    try:
        for op in ops:
            for pointer in (op.get("from"), op.get("path")):
                if isinstance(pointer, str):
                    patched = _with_own_path(patched, JsonPointer(pointer).parts, copies)
            patched = jsonpatch.JsonPatch([op]).apply(patched, in_place=True)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError, ValueError) as error:
        raise BadReply(
            f"simulator, role tool: its change does not fit the state: {error}"
        ) from error
    if not isinstance(patched, dict):
        raise BadReply("simulator, role tool: its change replaces the whole state")
    return patched


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
