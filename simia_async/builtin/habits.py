"""Habits of the agents that the tiny base is pre-trained on: not all of them act when they may.

In `mini-retail` an agent is to act at once. Elsewhere some ask first, as their users expect, and
some pass it on; what they say of policies and records is as right as the scripted agent's. So the
base can do all of it, and training has a choice to teach.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Literal

from simia_async.builtin.worlds.desk import Action, Desk
from simia_async.messages import Message

Habit = Literal["act", "ask", "pass on"]

_HABITS: dict[str, tuple[int, int, int]] = {
    "status": (60, 25, 15),
    "attribute": (25, 60, 15),
    "payment": (25, 35, 40),
}
"""By what an action changes: how many of 100 agents act at once, ask first, pass it on."""
_CONSENTS = ("Yes, please.", "Yes.", "Yes, do that.", "Please do.")


def draw_habits(world: Desk, rng: random.Random) -> dict[str, Habit]:
    """What the agent of one conversation does before each kind of action, by its tool."""
    kinds: list[Habit] = ["act", "ask", "pass on"]
    return {
        action.tool: rng.choices(kinds, weights=_HABITS[action.effect])[0]
        for action in world.actions
    }


def told_with_habits(
    world: Desk, messages: Sequence[Message], habits: dict[str, Habit], rng: random.Random
) -> list[Message]:
    """The scripted agent's conversation as an agent of these habits would have had it."""
    return list(_tell(world, messages, habits, rng))


def _tell(
    world: Desk, messages: Sequence[Message], habits: dict[str, Habit], rng: random.Random
) -> Iterator[Message]:
    actions = {action.tool: action for action in world.actions}
    passing_on = False
    for message in messages:
        passing_on = passing_on and message.role != "user"
        call = message.tool_calls[0] if message.tool_calls else None
        action = actions.get(call.function.name) if call else None
        if passing_on:
            continue
        if action is None:
            yield message
            continue
        thought = message.content or ""
        match habits[action.tool]:
            case "act":
                yield message
            case "ask":
                yield Message("assistant", f"{thought}Shall I {_named(world, action)}?")
                yield Message("user", rng.choice(_CONSENTS))
                yield Message("assistant", "", tool_calls=message.tool_calls)
            case "pass on":
                yield Message("assistant", f"{thought}A colleague will {_named(world, action)}.")
                passing_on = True


def _named(world: Desk, action: Action) -> str:
    if action.effect == "attribute":
        return f"change the {world.attribute} of it"
    return f"{action.verb} this {world.noun}"
