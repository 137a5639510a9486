"""Typed state of a simulated world: changes proposed by the simulator, applied by code."""

import re
from collections.abc import Iterable
from typing import Any

import jsonpatch
import jsonpointer

from simia_async.environments import Check
from simia_async.errors import BadReply
from simia_async.messages import Message, visible_text


def apply_ops(state: dict[str, Any], ops: list[dict[str, Any]]) -> dict[str, Any]:
    """A new state with the JSON Patch applied; `state` stays as it is.

    Raises `BadReply` if an operation does not fit the state.
    """
    if not ops:
        return state
    try:
        patched = jsonpatch.apply_patch(state, ops)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise BadReply(
            f"simulator, role tool: its change does not fit the state: {error}"
        ) from error
    if not isinstance(patched, dict):
        raise BadReply("simulator, role tool: its change replaces the whole state")
    return patched


def check_exactly(
    check: Check, state: dict[str, Any], messages: Iterable[Message], *, finished: bool
) -> dict[str, bool]:
    """The exact check by criterion: the task is done if all are true.

    `finished` is whether the user got to the end of their scenario.
    """
    replies = [
        visible_text(message.content or "").lower()
        for message in messages
        if message.role == "assistant" and not message.tool_calls
    ]
    said = all(
        any(all(_mentions(reply, word) for word in words) for reply in replies)
        for words in check.must_say
    )
    reached = check.final_state is None or state == check.final_state
    return {"state": reached, "said": said, "finished": finished}


def _mentions(reply: str, word: str) -> bool:
    """Whether the word stands in the reply, and not within another word or number."""
    return re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", reply) is not None
