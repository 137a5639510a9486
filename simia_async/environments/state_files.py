"""`state.json` and `state.schema.json`: the typed state that every conversation starts from.

A directory of τ²-bench holds its state in `db.json`, which is read where there is no `state.json`.
"""

from pathlib import Path
from typing import Any

from simia_async.environments.files import Report, read_json
from simia_async.environments.json_schemas import misfits, schema_problem

State = dict[str, Any]

STATE_FILES = ("state.json", "db.json")
"""The first that is there counts."""
SCHEMA_FILE = "state.schema.json"


def read_state(directory: Path, report: Report) -> tuple[State | None, State | None]:
    """Initial state and its schema; None for each that there is none of, or after a report."""
    schema_path = directory / SCHEMA_FILE
    schema = _read_object(schema_path, "a JSON Schema, a JSON object", report)
    problem = schema_problem(schema) if schema is not None else None
    if problem is not None:
        report(f"{schema_path}: is no JSON Schema: {problem}")
        schema = None
    path = state_path(directory)
    state = _read_object(path, "the state, a JSON object", report) if path else None
    wrong = list(misfits(state, schema)) if state is not None and schema is not None else []
    for misfit in wrong:
        report(f"{path}: {misfit}; {SCHEMA_FILE} does not allow it")
    # Without the schema, what is wrong with this state is not told again of every task.
    return state, None if wrong else schema


def state_path(directory: Path) -> Path | None:
    """The file that holds a directory's state."""
    paths = [directory / name for name in STATE_FILES]
    return next((path for path in paths if path.exists()), None)


def is_tau2(directory: Path) -> bool:
    """Whether a directory's state is τ²-bench's database."""
    path = state_path(directory)
    return path is not None and path.name == STATE_FILES[1]


def merged(state: State, difference: State) -> State:
    """A state with a difference merged in: JSON Merge Patch (RFC 7396), where null removes.

    Neither is changed; what does not differ is shared with `state`, not copied.
    """
    result = dict(state)
    for key, value in difference.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def _read_object(path: Path, expected: str, report: Report) -> State | None:
    if not path.exists():
        return None
    problems: list[str] = []
    value = read_json(path, expected, problems.append)
    if not problems and not isinstance(value, dict):
        problems.append(f"{path}: expected {expected}; found something else")
    if problems:
        report(problems[0])
        return None
    found: State = value
    return found
