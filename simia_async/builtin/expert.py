"""A rule-based agent that plays a task of a scripted world perfectly.

For pre-training the tiny base on random worlds and for tests. It never makes the demo's SFT data.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonpatch

from simia_async.builtin.templates import Request, Template, field_asked
from simia_async.builtin.world import World
from simia_async.environments.task import Task
from simia_async.messages import FunctionCall, Message, ToolCall

_VALUE = r"(\d+ King St|May \d+|\d+:\d\d|555 \d{4}|\d+[A-F]|room \d+)"
"""Any value of any attribute (see `templates.attribute_value`)."""


class _Dialogue:
    def __init__(self, world: World, task: Task) -> None:
        self.world = world
        self.state = json.loads(json.dumps(task.initial_state))
        self.messages = [Message("system", world.policy())]

    def user(self, text: str) -> None:
        self.messages.append(Message("user", text))

    def reply(self, text: str, think: str = "") -> None:
        self.messages.append(Message("assistant", _thought(think) + text))

    def call(self, tool: str, think: str = "", **arguments: str) -> Any:
        call = ToolCall(f"call_{len(self.messages)}", FunctionCall(tool, json.dumps(arguments)))
        self.messages.append(Message("assistant", _thought(think), tool_calls=[call]))
        outcome = self.world.call(self.state, tool, arguments)
        self.state = jsonpatch.apply_patch(self.state, outcome.ops)
        content = json.dumps(outcome.observation)
        self.messages.append(Message("tool", content, tool_call_id=call.id))
        return outcome.observation


def expert_dialogue(world: World, template: Template, task: Task) -> list[Message]:
    """The whole conversation as OpenAI chat messages, system message first."""
    dialogue = _Dialogue(world, task)
    for request, utterance in zip(template.requests, task.scenario.utterances, strict=True):
        dialogue.user(utterance.text)
        _serve(dialogue, request, utterance.text, utterance.correction)
    return dialogue.messages


def _serve(dialogue: _Dialogue, request: Request, text: str, correction: str | None) -> None:
    world, noun = dialogue.world, dialogue.world.noun
    if request.refer == "latest":
        user_id = _find(r"[a-z]+_\d+", text)
        record_id = dialogue.call("get_user", user_id=user_id)[world.records][-1]
    else:
        record_id = _find(rf"{world.id_prefix}\d{{4}}", text)
    record = dialogue.call(f"get_{noun}", **{world.record_id: record_id})
    if "error" in record and correction:
        dialogue.reply(f"I can not find {noun} {record_id}. Please check the id.")
        dialogue.user(correction)
        record_id = _find(rf"{world.id_prefix}\d{{4}}", correction)
        record = dialogue.call(f"get_{noun}", **{world.record_id: record_id})
    if not request.actions:
        asked = field_asked(world, request)
        dialogue.reply(f"The {asked} of {noun} {record_id} is {record[asked]}.")
        return
    think = ""
    values = _wanted_values(world, request, text)
    for index in request.actions:
        action = world.actions[index]
        allowed = record["status"] in action.allowed
        verdict = "yes" if allowed else "no"
        think += f"{world.rule(action)}; status {record['status']} {verdict}. "
        if allowed:
            extra = world.extra_argument(action)
            arguments = {world.record_id: record_id}
            if extra:
                value = record["payment"] if action.effect == "payment" else next(values)
                arguments[extra] = value
            dialogue.call(action.tool, think, **arguments)
            if action.effect == "attribute":
                dialogue.reply(f"The {extra} of {noun} {record_id} is now {arguments[extra]}.")
            else:
                dialogue.reply(f"Your {noun} {record_id} is now {action.result}.")
            return
    action = world.actions[request.actions[0]]
    what = f"change the {world.attribute} of" if action.effect == "attribute" else action.verb
    dialogue.reply(f"I cannot {what} {noun} {record_id} because it is {record['status']}.", think)


def _wanted_values(world: World, request: Request, text: str) -> Iterator[str]:
    """Values for the attribute that the user's text names, in the order of the actions."""
    for index in request.actions:
        if world.actions[index].effect == "attribute":
            yield _find("(?: to |should be )" + _VALUE, text)


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{pattern!r} is not in {text!r}")
    return match.group(match.lastindex or 0)


def _thought(think: str) -> str:
    return f"<think>{think.strip()}</think>" if think else ""
