"""`tasks.jsonl`: the tasks of an environment, one JSON object a line.

A directory of τ²-bench holds its tasks in `tasks.json`, which is read where there is no
`tasks.jsonl`.
"""

from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from simia_async.environments.environment import Environment
from simia_async.environments.files import Report, json_problem, read_text, refuse
from simia_async.environments.json_schemas import misfits
from simia_async.environments.task import Task
from simia_async.environments.tau2_tasks import read_tau2_tasks
from simia_async.errors import UsageError
from simia_async.whole_files import write_whole


def environment_tasks(environment: Environment) -> list[Task]:
    """The tasks that come with an environment; none if it has no file of them."""
    path = environment.tasks_file
    return load_tasks(path, environment) if path else []


def load_tasks(path: Path, environment: Environment) -> list[Task]:
    """The tasks in a file: `.jsonl` of ours, `.json` of τ²-bench.

    A line may leave `environment` out: then it is this one. Raises `UsageError` naming file, line
    and field.
    """
    return read_tasks(path, environment, refuse)


def read_tasks(path: Path, environment: Environment, report: Report) -> list[Task]:
    """The tasks that are sound; each problem of the others is reported."""
    if path.suffix == ".json":
        placed = read_tau2_tasks(path, environment, report)
    else:
        placed = _lines(path, environment, report)
    tasks: dict[str, Task] = {}
    found = False
    for place, task in placed:
        found = True
        problems = [*_problems(task, environment)]
        if task.id in tasks:
            problems.insert(0, f"`id`: {task.id!r} is the id of an earlier task too")
        for problem in problems:
            report(f"{path}: {place}: {problem}")
        if not problems:
            tasks[task.id] = task
    if not found and path.exists() and not path.read_bytes().strip():
        report(f"{path}: is empty; expected tasks, or no such file")
    return list(tasks.values())


def tasks_to_keep(path: Path, environment: Environment, made: Container[str]) -> list[Task]:
    """The tasks of a file that is to be written anew, as they stand there; none without a file.

    Raises `UsageError` if it holds one whose id is not among those `made`.
    """
    if not path.exists():
        return []
    tasks = load_tasks(path, environment)
    if foreign := next((task.id for task in tasks if task.id not in made), None):
        raise UsageError(
            f"{path}: holds tasks that this run did not make, such as {foreign!r}; name another "
            "file, or go on with the run that made them (--run)"
        )
    return tasks


def write_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """Write a `tasks.jsonl`, whole or not at all; a file that is there is replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (msgspec.json.encode(task) + b"\n" for task in tasks))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _lines(path: Path, environment: Environment, report: Report) -> Iterator[tuple[str, Task]]:
    text = read_text(path, report)
    for number, line in enumerate((text or "").split("\n"), 1):
        if not line.strip():
            continue
        try:
            raw = msgspec.json.decode(line, type=dict[str, Any])
            yield f"line {number}", msgspec.convert({"environment": environment.name} | raw, Task)
        except msgspec.ValidationError as error:
            report(f"{path}: line {number}: {_field_first(str(error))}")
        except (msgspec.DecodeError, RecursionError) as error:
            slip = json_problem(line, error).removeprefix("line 1, ")
            report(f"{path}: line {number}: {slip}")


def _field_first(said: str) -> str:
    """The complaint with its place in front, where it tells one."""
    problem, at, place = said.partition(" - at `$")
    field = place.rstrip("`").removeprefix(".")
    return f"`{field}`: {problem}" if at and field else problem


def _problems(task: Task, environment: Environment) -> Iterator[str]:
    """Why a task is none of this environment."""
    if not task.id:
        yield "`id` is empty"
    if task.environment != environment.name:
        yield f"`environment`: found {task.environment!r}; this is {environment.name!r}"
    yield from _state_problems("initial_state", task.initial_state, environment)
    if task.check is not None and task.check.final_state is not None:
        yield from _state_problems("check.final_state", task.check.final_state, environment)
    called = {call.function.name for message in task.reference for call in message.tool_calls or ()}
    for name in sorted(called - environment.validators.keys()):
        yield f"`reference`: calls {name!r}, which tools.json does not declare"


def _state_problems(
    field: str, difference: dict[str, Any], environment: Environment
) -> Iterator[str]:
    if environment.state_schema is None or (not difference and environment.initial_state):
        return
    state = environment.state_with(difference)
    if environment.state_misfit(state) is None:
        return  # Known fast; where something is wrong, all of it is told.
    for misfit in misfits(state, environment.state_schema):
        yield f"`{field}`: {misfit}; the schema of the state does not allow it"
