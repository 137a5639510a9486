"""Agents that any policy should beat: one that does nothing, and one that acts at random."""

import json
import random
import re
from collections.abc import Sequence

from simia_async.builtin.scripted_agent import Agent
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.messages import FunctionCall, Message, ToolCall

_ENDS = r"""["'.,:;?!{}\[\]]+"""


def idle_reply(_world: ScriptedWorld, _messages: Sequence[Message]) -> Message:
    """The agent that does nothing, and says nothing either."""
    return Message("assistant", "Okay.")


def random_agent(seed: int) -> Agent:
    """An agent that calls any tool with anything seen so far, or says something of it."""

    def reply(world: ScriptedWorld, messages: Sequence[Message]) -> Message:
        rng = random.Random(f"{seed}/{len(messages)}")
        seen = _seen(messages)
        if rng.random() < 0.3:
            return Message("assistant", " ".join(rng.choices(seen, k=4)))
        tool = rng.choice(world.tools())["function"]
        names = tool["parameters"]["required"]
        arguments = json.dumps({name: rng.choice(seen) for name in names})
        call = ToolCall(f"call_{len(messages)}", FunctionCall(tool["name"], arguments))
        return Message("assistant", "", tool_calls=[call])

    return reply


def _seen(messages: Sequence[Message]) -> list[str]:
    """Words of the conversation, without what they begin and end with."""
    text = " ".join(message.content or "" for message in messages if message.role != "system")
    words = (re.sub(rf"^{_ENDS}|{_ENDS}$", "", word) for word in text.split())
    return [word for word in words if word] or ["hello"]
