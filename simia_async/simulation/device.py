"""Users who have tools too, on a device of their own: what is added to the simulator's prompts.

Of environments without such tools nothing is added.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.prompts import SimulatorRole, Tag
from simia_async.simulation.replies import DeviceCall

MOST_ROUNDS = 12
"""How often in a row a user may use the device; then they must speak."""

WORDS: dict[SimulatorRole, str] = {
    "user": (
        "The user also has a device, and <device> declares what can be done with it. Of it you "
        "know only what calls of the user in <history> returned. If the agent asks you to look at "
        "something there or to do something, do exactly that before you answer, and then tell "
        "truly what you saw; do nothing there that was not asked for, unless the scenario says so. "
        'To use it, answer with JSON: {"message": "", "done": false, "tool_calls": [{"name": …, '
        '"arguments": {…}}]}, and you are asked again with what the calls returned. The agent sees '
        "neither the calls nor what they returned, but only your messages."
    ),
    "tool": (
        "Calls in turns of the user are made on a device of their own. If <history> ends with "
        "such a call you play that device, whose tools <tools> then declares."
    ),
    "joint": (
        "The user also has a device, and <device> declares what can be done with it. Calls in "
        "turns of the user are made on it; if <history> ends with one, answer as the device would. "
        "If the agent asks the user to look at something there or to do something, the user does "
        "exactly that before they answer, and nothing that was not asked for, unless the scenario "
        'says so: then answer, instead of speaking, with JSON: {"message": "", "tool_calls": '
        '[{"name": …, "arguments": {…}}]}. The agent sees neither such calls nor what they '
        "returned."
    ),
    "judge": (
        "Calls in turns of the user, and what they returned, happened on the user's own device, "
        "whose tools <device> declares. The agent saw neither, and is to be judged by what it told "
        "the user to do there, and by what came of it."
    ),
    "author": (
        "The user has a device, and <device> declares what can be done with it. The agent cannot "
        "use it: it asks the user to, who tells in words what they did and saw there."
    ),
    "task_author": (
        "The user has a device, and <device> declares what can be done with it; the agent can "
        "only ask for that."
    ),
}
"""What a role is told besides its words."""

_SHOWN_DEVICE = frozenset({"user", "joint", "judge", "author", "task_author"})
"""Roles that get the section; who plays the device gets its tools as `<tools>`."""


def with_device(
    role: SimulatorRole, sections: dict[Tag, Any], user_tools: msgspec.Raw
) -> dict[Tag, Any]:
    """The sections of a prompt with the one that declares the user's tools, before what changes
    from turn to turn.
    """
    if role not in _SHOWN_DEVICE:
        return sections
    first: dict[Tag, Any] = {
        tag: value for tag, value in sections.items() if tag in ("environment", "tools")
    }
    return {**first, "device": user_tools, **sections}


def is_device_call(message: Message) -> bool:
    """Whether a message holds calls of the user."""
    return message.role == "user" and bool(message.tool_calls)


def answers_device(history: Sequence[Message]) -> bool:
    """Whether what `history` ends with is for the user's device to answer."""
    return bool(history) and is_device_call(history[-1])


def as_tool_calls(calls: Sequence[DeviceCall], position: int) -> list[ToolCall]:
    """The calls as the turn at `position` holds them, with ids of their own."""
    return [
        ToolCall(f"user_{position}_{number}", FunctionCall(call.name, _as_text(call.arguments)))
        for number, call in enumerate(calls)
    ]


def _as_text(arguments: dict[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
