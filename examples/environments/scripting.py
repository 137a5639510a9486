"""Scripted conversations, played against exact tools: what seeds and tasks are made of.

A script says what the user says, what the agent says, and what it calls. The tools answer, so that
every observation and every wanted state is true by construction.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from simia_async.environments.state_files import merged
from simia_async.environments.tool_effects import ToolError, ToolFunction
from simia_async.simulation.state import apply_ops

State = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """The agent calls a tool."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Device:
    """The user uses a tool of their own, which the agent does not see."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class User:
    """The user speaks."""

    text: str


@dataclass(frozen=True)
class Say:
    """The agent speaks."""

    text: str


Step = Call | Device | User | Say


def call(tool: str, **arguments: Any) -> Call:
    """The agent calls a tool."""
    return Call(tool, arguments)


def device(tool: str, **arguments: Any) -> Device:
    """The user uses a tool of their own."""
    return Device(tool, arguments)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A conversation in which a task is done, and what makes a task of it."""

    id: str
    use: Literal["seed", "train", "heldout"]
    instructions: str
    """What the simulated user is told."""
    goal: str
    steps: Sequence[Step]
    start: State = field(default_factory=dict)
    """What differs from the environment's initial state."""
    must_say: Sequence[Sequence[str]] = ()
    required: Sequence[Call] = ()
    """Calls that must be made, with these of their arguments at least."""
    forbidden: Sequence[Call] = ()
    free_text: bool = False
    """Whether the agent words what it stores, so that the final state cannot be told exactly; then
    the calls that it needs are checked, and no other tool may write."""
    wrong: Sequence[Sequence[Call]] = ()
    """What a careless agent may do instead: each must fail the check."""


class Stage:
    """An environment's state and its exact tools."""

    def __init__(
        self, state: State, functions: Mapping[str, ToolFunction], writes: Iterable[str]
    ) -> None:
        self.state = state
        self._functions = functions
        self.writes = frozenset(writes)
        """Tools that change something."""

    def answer(self, state: State, made: Call | Device) -> tuple[Any, State, bool]:
        """The observation, the state after it, and whether it is an error."""
        try:
            reply = self._functions[made.tool](state, **made.arguments)
        except ToolError as error:
            return {"error": str(error)}, state, True
        return reply.observation, apply_ops(state, reply.ops), False

    def play(self, script: Script) -> tuple[list[dict[str, Any]], State, list[tuple[Call, bool]]]:
        """Messages, final state, and each call with whether it failed."""
        state = merged(self.state, script.start)
        messages: list[dict[str, Any]] = []
        made: list[tuple[Call, bool]] = []
        for step in script.steps:
            if isinstance(step, Call):
                observation, state, failed = self.answer(state, step)
                messages += _call_messages(len(made), step, observation)
                made.append((step, failed))
            elif isinstance(step, Device):
                state = self.answer(state, step)[1]
            else:
                role = "user" if isinstance(step, User) else "assistant"
                messages.append({"role": role, "content": step.text})
        return messages, state, made


def seed_of(script: Script, stage: Stage) -> dict[str, Any]:
    """A line of `seeds.jsonl`."""
    return {"id": script.id, "messages": stage.play(script)[0]}


def task_of(script: Script, stage: Stage) -> dict[str, Any]:
    """A line of `tasks.jsonl`."""
    _, state, made = stage.play(script)
    begin = merged(stage.state, script.start)
    written = {each.tool for each, failed in made if each.tool in stage.writes and not failed}
    check: dict[str, Any] = {}
    forbidden = [_pattern(each) for each in script.forbidden]
    if script.free_text:
        forbidden += [{"tool": name} for name in sorted(stage.writes - written)]
    else:
        check["final_state"] = difference(stage.state, state)
    check |= {"must_say": script.must_say} if script.must_say else {}
    check |= {"required_calls": [*map(_pattern, script.required)]} if script.required else {}
    check |= {"forbidden_calls": forbidden} if forbidden else {}
    return {
        "id": script.id,
        "split": script.use,
        "scenario": {"instructions": script.instructions},
        "initial_state": script.start,
        "needs_action": begin != state,
        "goal": script.goal,
        "check": check,
        "rubric": _rubric(script),
    }


def difference(before: State, after: State) -> State:
    """The JSON Merge Patch (RFC 7396) from one state to the other."""
    patch: State = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        if key in before and isinstance(value, dict) and isinstance(before[key], dict):
            if inner := difference(before[key], value):
                patch[key] = inner
        elif key not in before or value != before[key]:
            patch[key] = value
    return dict(sorted(patch.items()))


def numbered(make: Callable[..., Script], *variants: Mapping[str, Any]) -> list[Script]:
    """The same kind of script several times: the first is a seed, the last is held out."""
    scripts = []
    for number, variant in enumerate(variants):
        use = "seed" if number == 0 else "heldout" if number == len(variants) - 1 else "train"
        name = f"{make.__name__.replace('_', '-')}-{number}"
        scripts.append(make(name, use, **variant))
    return scripts


def _call_messages(number: int, made: Call, observation: Any) -> list[dict[str, Any]]:
    identity = f"call_{number}"
    function = {"name": made.tool, "arguments": json.dumps(made.arguments, ensure_ascii=False)}
    wire = {"id": identity, "type": "function", "function": function}
    told = json.dumps(observation, ensure_ascii=False)
    return [
        {"role": "assistant", "tool_calls": [wire]},
        {"role": "tool", "tool_call_id": identity, "content": told},
    ]


def _rubric(script: Script) -> list[dict[str, Any]]:
    """What a judge looks at besides the check."""
    steps = [*script.steps]
    asked = any(
        isinstance(before, Say) and isinstance(then, User) and isinstance(after, Call)
        for before, then, after in zip(steps, steps[1:], steps[2:], strict=False)
    )
    done = {"name": "done", "description": script.goal, "weight": 3.0}
    confirmed = {
        "name": "confirmed",
        "description": "The agent said exactly what it would do, and got a yes, before it did it.",
    }
    true = {
        "name": "true",
        "description": "All that the agent told the user is what the tools told, or follows from "
        "it.",
    }
    return [done, *([confirmed] if asked else []), true]


def _pattern(made: Call) -> dict[str, Any]:
    return {"tool": made.tool, "arguments": made.arguments}
