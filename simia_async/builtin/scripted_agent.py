"""The scripted agent: plays in every scripted world from the conversation alone, and perfectly.

What it does next follows from what was said and observed so far; it never sees the task.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from simia_async.builtin.agents import airline, desk, library, telecom
from simia_async.builtin.agents.script import Call, Serve, Step, converse
from simia_async.builtin.worlds.desk import Desk
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.messages import FunctionCall, Message, ToolCall

Agent = Callable[[ScriptedWorld, Sequence[Message]], Message]
"""What an agent says or calls after the messages so far, the system message first."""

_SERVES: dict[str, Serve] = {
    "mini-airline": airline.serve,
    "mini-telecom": telecom.serve,
    "mini-library": library.serve,
}


def next_reply(world: ScriptedWorld, messages: Sequence[Message]) -> Message:
    """What the scripted agent does after `messages`, in which its own part is its own.

    The same for the same messages. Raises `ValueError` if no user has spoken yet.
    """
    serve = partial(desk.serve, world) if isinstance(world, Desk) else _SERVES[world.name]
    script, step = None, None
    for message in messages:
        if message.role == "user" and script is None:
            script = converse(serve, message.content or "")
            step = next(script)
        elif script and message.role in ("user", "tool"):
            step = script.send(_heard(message))
    if step is None:
        raise ValueError("the user has not spoken yet")
    return _message(step, call_id=f"call_{len(messages)}")


def _heard(message: Message) -> Any:
    content = message.content or ""
    return json.loads(content) if message.role == "tool" else content


def _message(step: Step, call_id: str) -> Message:
    thought = f"<think>{step.think.strip()}</think>" if step.think else ""
    if isinstance(step, Call):
        function = FunctionCall(step.tool, json.dumps(step.arguments))
        return Message("assistant", thought, tool_calls=[ToolCall(call_id, function)])
    return Message("assistant", thought + step.text)
