"""What the scripted simulator answers: reads a prompt's sections and applies the rules.

Rule-based, not an LLM. For worlds it has no rules for it re-tells and reviews seeds and
makes tasks of them, and nothing else.
"""

from typing import Any

import msgspec

from simia_async.builtin.author import retell
from simia_async.builtin.reviewer import KnownState, SeedToReview, draft_task, review
from simia_async.builtin.scripted_user import has_finished, next_message
from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.environments.task import Check, Criterion, Scenario
from simia_async.judging import MadeCall, check_exactly
from simia_async.messages import Message
from simia_async.simulation.code_answers import arguments_of
from simia_async.simulation.prompts import read_sections
from simia_async.simulation.replies import (
    Draft,
    JointUserReply,
    Judgement,
    Review,
    TaskDraft,
    ToolReply,
    UserReply,
)

Answer = UserReply | JointUserReply | ToolReply | Judgement | Draft | Review | TaskDraft


class CannotAnswer(Exception):
    """The prompt lacks a section, or is about a world without rules (HTTP 422)."""


def answer(prompt: str, request_seed: int) -> Answer:
    """The answer to one prompt of the simulator's roles."""
    try:
        sections = read_sections(prompt)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CannotAnswer(f"a section of the prompt is not JSON: {error}") from error
    environment = _section(sections, "environment", dict[str, Any])
    world = SCRIPTED_WORLDS.get(str(environment.get("name")))
    role = environment.get("role")
    match role:
        case "author":
            seed = _section(sections, "seed", list[Message])
            wishes = sections.get("task") if isinstance(sections.get("task"), dict) else None
            return Draft(
                retell(seed, request_seed, scripted_world=world is not None, wishes=wishes)
            )
        case "reviewer":
            return review(_section(sections, "seed", SeedToReview))
        case "task_author":
            return draft_task(
                _section(sections, "seed", list[Message]), _section(sections, "state", KnownState)
            )
    if world is None:
        raise CannotAnswer(
            f"the scripted simulator has no rules for environment {environment.get('name')!r}; "
            f"it plays {', '.join(SCRIPTED_WORLDS)} and re-tells seeds of any. Use an LLM as the "
            "simulator (--simulator-model, --base-url)"
        )
    history = _section(sections, "history", list[Message])
    match role:
        case "user":
            return next_message(_section(sections, "task", _TaskOfUser).scenario, history)
        case "tool":
            return _answer_call(world, _state(sections), history)
        case "joint" if history and history[-1].tool_calls:
            return _answer_call(world, _state(sections), history)
        case "joint":
            scenario = _section(sections, "task", _TaskOfUser).scenario
            return JointUserReply.of(next_message(scenario, history))
        case "judge":
            return _judge(sections, history)
    raise CannotAnswer(f"unknown role {role!r}")


class _TaskOfUser(msgspec.Struct):
    scenario: Scenario


class _TaskOfJudge(msgspec.Struct):
    check: Check
    rubric: list[Criterion] = []


class _StateOfJudge(msgspec.Struct):
    final: dict[str, Any] | None


def _answer_call(world: ScriptedWorld, state: dict[str, Any], history: list[Message]) -> ToolReply:
    calls = history[-1].tool_calls if history else None
    if not calls:
        raise CannotAnswer("<history> does not end with a tool call")
    arguments = arguments_of(calls[0])
    if arguments is None:
        raise CannotAnswer("the arguments of the tool call are not a JSON object")
    try:
        outcome = world.call(state, calls[0].function.name, arguments)
    except (KeyError, TypeError) as error:
        raise CannotAnswer(
            f"the call of {calls[0].function.name} does not fit the world: {error!r}"
        ) from error
    return ToolReply(outcome.observation, outcome.is_error, outcome.ops)


def _state(sections: dict[str, Any]) -> dict[str, Any]:
    if sections.get("state", ...) is None:
        raise CannotAnswer(
            "the scripted simulator answers from the state of the world, and is told none; play a "
            "grounded world (--world grounded), or use an LLM as the simulator"
        )
    state: dict[str, Any] = _section(sections, "state", dict[str, Any])
    return state


def _judge(sections: dict[str, Any], history: list[Message]) -> Judgement:
    given = sections.get("task")
    if isinstance(given, dict) and given.get("check") is None:
        raise CannotAnswer(
            "the scripted judge goes by a task's `check`, and this one has none; use an LLM as the "
            "judge (--simulator-model, --base-url)"
        )
    task = _section(sections, "task", _TaskOfJudge)
    state = _section(sections, "state", _StateOfJudge)
    if state.final is None:
        raise CannotAnswer("<state> does not hold the final state, by which alone code can judge")
    criteria = check_exactly(
        task.check, state.final, history, _made(history), finished=has_finished(history)
    )
    if foreign := [each.name for each in task.rubric if each.name not in criteria]:
        raise CannotAnswer(
            f"the scripted judge can tell {', '.join(criteria)}, not {', '.join(foreign)}; use an "
            "LLM as the judge (--simulator-model, --base-url)"
        )
    failed = [name for name, passed in criteria.items() if not passed]
    reasoning = f"not as wanted: {', '.join(failed)}" if failed else "all as wanted"
    return Judgement(float(not failed), reasoning, criteria)


def _made(history: list[Message]) -> list[MadeCall]:
    """The calls in a conversation. A scripted world tells of an error as `{"error": …}`."""
    returned = {message.tool_call_id: message.content or "" for message in history}
    return [
        MadeCall(
            call.function.name,
            arguments_of(call) or {},
            returned.get(call.id, "").startswith('{"error":'),
        )
        for message in history
        for call in message.tool_calls or ()
    ]


def _section(sections: dict[str, Any], tag: str, expected: Any) -> Any:
    if tag not in sections:
        raise CannotAnswer(f"the prompt has no <{tag}> section")
    try:
        return msgspec.convert(sections[tag], expected)
    except msgspec.ValidationError as error:
        raise CannotAnswer(f"section <{tag}>: {error}") from error
