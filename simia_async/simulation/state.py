"""Typed state of a simulated world: changes proposed by the simulator, applied by code."""

from typing import Any

from simia_store.patches import PatchError, patched

from simia_async.errors import BadReply


def apply_ops(state: dict[str, Any], ops: list[dict[str, Any]]) -> dict[str, Any]:
    """A new state with the JSON Patch (RFC 6902) applied; `state` stays as it is.

    What the operations do not touch is shared by both. Raises `BadReply` if an operation does not
    fit the state.
    """
    try:
        return patched(state, ops)
    except PatchError as error:
        # Those who complain of it to the simulator say the cause alone, where there is one.
        raise BadReply(f"simulator, role tool: its change {error}") from error.__cause__
