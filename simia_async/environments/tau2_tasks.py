"""`tasks.json` of τ²-bench, read as tasks of ours.

What its evaluator does by running code, a judge is asked for here, as criteria: every gold action
with its exact arguments, every assertion about the world, what is to be communicated, its
assertions in words, and that nothing else was changed. The final state that it compares is known
only to whoever can run its tools. What code can tell without is an exact check: that each gold
change was called for with exactly these arguments, no tool for changes that no gold action uses was
called, and what is to be communicated was said. A task begins in the environment's initial
state, plus what `initial_state.initialization_data` holds for the agent's side. Its
`initialization_actions`, which only τ²-bench could run, stand in the state under that name, where
the simulator of the tools reads them.

All tasks are held out: training on a benchmark's tasks should be decided, not happen.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from simia_async.environments.environment import Environment
from simia_async.environments.files import Report, read_json
from simia_async.environments.task import CallPattern, Check, Criterion, Scenario, Split, Task
from simia_async.environments.tau2_effects import LOOK_UPS, only_looks


class _Structured(msgspec.Struct):
    reason_for_call: str = ""
    task_instructions: str = ""
    known_info: str | None = None
    unknown_info: str | None = None


class _UserScenario(msgspec.Struct):
    instructions: _Structured | str
    persona: str | None = None


class _Description(msgspec.Struct):
    purpose: str | None = None


class _Action(msgspec.Struct):
    name: str
    arguments: dict[str, Any] = {}
    requestor: str = "assistant"


class _Assertion(msgspec.Struct):
    func_name: str
    arguments: dict[str, Any] = {}
    assert_value: bool = True


class _Criteria(msgspec.Struct):
    actions: list[_Action] | None = None
    env_assertions: list[_Assertion] | None = None
    communicate_info: list[str] | None = None
    nl_assertions: list[str] | None = None
    reward_basis: list[str] | None = None


class _Data(msgspec.Struct):
    agent_data: dict[str, Any] | None = None


class _InitialState(msgspec.Struct):
    initialization_data: _Data | None = None
    initialization_actions: list[dict[str, Any]] | None = None


class _Tau2Task(msgspec.Struct):
    id: str
    user_scenario: _UserScenario
    description: _Description | None = None
    initial_state: _InitialState | None = None
    evaluation_criteria: _Criteria | None = None


def read_tau2_tasks(
    path: Path, environment: Environment, report: Report
) -> Iterator[tuple[str, Task]]:
    """Each task, with its place in the file. What is none is reported."""
    problems: list[str] = []
    value = read_json(path, "τ²-bench's JSON list of tasks", problems.append)
    if not problems and not isinstance(value, list):
        problems.append(f"{path}: expected τ²-bench's JSON list of tasks; ours go to tasks.jsonl")
    if problems:
        report(problems[0])
        return
    for index, raw in enumerate(value):
        try:
            yield f"task {index}", tau2_task(raw, environment)
        except msgspec.ValidationError as error:
            report(f"{path}: task {index}: {error}")


def tau2_task(raw: Any, environment: Environment, split: Split = "heldout") -> Task:
    """One of τ²-bench's tasks as one of ours. Raises `msgspec.ValidationError`."""
    task = msgspec.convert(raw, _Tau2Task)
    criteria = task.evaluation_criteria or _Criteria()
    return Task(
        id=task.id,
        environment=environment.name,
        split=split,
        scenario=Scenario(_instructions(task.user_scenario)),
        initial_state=_initial_state(task.initial_state or _InitialState()),
        needs_action=any(map(_changes, criteria.actions or ())),
        goal=_goal(task.description, criteria),
        check=_check(criteria, environment),
        rubric=tuple(_rubric(criteria)),
    )


def _instructions(scenario: _UserScenario) -> str:
    told = scenario.instructions
    if isinstance(told, str):
        told = _Structured(task_instructions=told)
    parts = [
        ("Who you are", scenario.persona),
        ("Why you call", told.reason_for_call),
        ("What you know", told.known_info),
        ("What you do not know", told.unknown_info),
        ("How you behave", told.task_instructions),
    ]
    return "\n\n".join(f"{head}:\n{text.strip()}" for head, text in parts if text and text.strip())


def _initial_state(begin: _InitialState) -> dict[str, Any]:
    data = begin.initialization_data
    difference = dict(data.agent_data or {}) if data else {}
    if begin.initialization_actions:
        difference["initialization_actions"] = begin.initialization_actions
    return difference


def _is_look_up(action: _Action) -> bool:
    return action.name.startswith(LOOK_UPS)


def _changes(action: _Action) -> bool:
    return not only_looks(action.name)


def _check(criteria: _Criteria, environment: Environment) -> Check | None:
    """What code can tell; None where what counts is the user's device, or nothing is told."""
    actions = criteria.actions
    if actions is None or criteria.env_assertions:
        return None
    wanted = [action for action in actions if _changes(action)]
    if any(action.requestor == "user" for action in wanted):
        return None
    used = {action.name for action in wanted}
    others = [n for n in environment.validators if not only_looks(n) and n not in used]
    basis = criteria.reward_basis
    told = criteria.communicate_info or () if basis is None or "COMMUNICATE" in basis else ()
    return Check(
        must_say=tuple((each,) for each in told),
        required_calls=tuple(CallPattern(action.name, action.arguments) for action in wanted),
        forbidden_calls=tuple(map(CallPattern, others)),
    )


def _goal(description: _Description | None, criteria: _Criteria) -> str:
    purpose = (description.purpose if description else None) or ""
    return "\n".join(part for part in [purpose.strip(), *(criteria.nl_assertions or ())] if part)


def _rubric(criteria: _Criteria) -> Iterator[Criterion]:
    wanted = [action for action in criteria.actions or () if not _is_look_up(action)]
    for number, action in enumerate(wanted, 1):
        who = "The user" if action.requestor == "user" else "The agent"
        call = _call(action.name, action.arguments)
        yield Criterion(f"action_{number}", f"{who} called {call}, with exactly these arguments.")
    for number, state in enumerate(criteria.env_assertions or (), 1):
        outcome = "holds" if state.assert_value else "does not hold"
        claim = _call(state.func_name, state.arguments)
        yield Criterion(f"world_{number}", f"At the end {claim} {outcome}.")
    for number, told in enumerate(criteria.communicate_info or (), 1):
        yield Criterion(f"said_{number}", f"The agent told the user: {told}")
    for number, assertion in enumerate(criteria.nl_assertions or (), 1):
        yield Criterion(f"claim_{number}", assertion)
    but = " but what is asked for above" if any(map(_changes, wanted)) else ""
    yield Criterion("nothing_else", f"The agent changed nothing{but}.")


def _call(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({msgspec.json.encode(arguments).decode()})"
