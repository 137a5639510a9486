"""A whole conversation in memory: scripted user, agent and scripted world, with no HTTP."""

import json
from typing import Any

import msgspec

from simia_async.builtin.scripted_agent import Agent, next_reply
from simia_async.builtin.scripted_user import next_message
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.environments import Task
from simia_async.judging.checks import check_exactly
from simia_async.messages import Message
from simia_async.simulation import apply_ops, arguments_of

MAX_AGENT_TURNS = 14


class Played(msgspec.Struct, frozen=True):
    """How a conversation went."""

    messages: list[Message]
    """With the system message first, and the user's goodbye last."""
    state: dict[str, Any]
    finished: bool
    """Whether the user got to the end of their scenario."""
    tool_errors: int

    def solves(self, task: Task) -> bool:
        """Whether the task's exact check passes."""
        check = task.check
        if check is None:
            return False
        return all(check_exactly(check, self.state, self.messages, finished=self.finished).values())


def play(world: ScriptedWorld, task: Task, agent: Agent) -> Played:
    """Let `agent` play `task`; at most `MAX_AGENT_TURNS` turns."""
    messages = [Message("system", world.policy())]
    state, tool_errors = task.initial_state, 0
    said = next_message(task.scenario, messages)
    messages.append(Message("user", said.message))
    for _ in range(MAX_AGENT_TURNS):
        reply = agent(world, messages)
        messages.append(reply)
        for call in reply.tool_calls or ():
            outcome = world.call(state, call.function.name, arguments_of(call) or {})
            state = apply_ops(state, outcome.ops)
            tool_errors += outcome.is_error
            content = json.dumps(outcome.observation)
            messages.append(Message("tool", content, tool_call_id=call.id))
        if not reply.tool_calls:
            said = next_message(task.scenario, messages)
            messages.append(Message("user", said.message))
            if said.done:
                break
    return Played(messages, state, said.done, tool_errors)


def oracle_dialogue(world: ScriptedWorld, task: Task) -> list[Message]:
    """The task played by the scripted agent, system message first, without the goodbye.

    The tiny base is pre-trained on these.
    """
    return play(world, task, next_reply).messages[:-1]
