"""An environment made of a domain of τ²-bench, to train in before the real one is the exam.

What is written is the user's own copy of the domain: its policy, its tools, its database with
indices that answer searching look-ups, what its tools do to that, and its tasks with checks. Where
τ²-bench says which tasks are for training (`split_tasks.json`), so does the copy.
"""

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from simia_async.environments.environment import Environment, read_environment
from simia_async.environments.files import read_json, refuse
from simia_async.environments.starting import refuse_occupied
from simia_async.environments.state_files import SCHEMA_FILE
from simia_async.environments.task import Split, Task
from simia_async.environments.tasks_file import write_tasks
from simia_async.environments.tau2_effects import HAND_OVER, tau2_effects, with_indices
from simia_async.environments.tau2_tasks import tau2_task
from simia_async.environments.tool_effects import ToolEffect
from simia_async.errors import UsageError

_IN_REPOSITORY = Path("data", "tau2", "domains")
_SPLITS_FILE = "split_tasks.json"
_NEEDED = ("policy.md", "db.json", "tasks.json")

_DUMP_TOOLS = (
    'python -c "import json; from tau2.registry import registry; print(json.dumps([tool.'
    "openai_schema for tool in registry.get_env_constructor('{domain}')().get_tools()]))\""
    " > tools.json"
)
"""τ²-bench makes its schemas of Python, which is run where it is installed, not here."""


_TOOL_WORDS = """\
You play the tools of a support system. <history> ends with the agent's tool call; <tools> declares
the tools, and <state> is the part of the database that the call touches; `_omitted` there counts
what is not shown. The database is complete: what the call names by its id and <state> does not show
does not exist, and nothing is ever made up. Then, and wherever the real API would refuse, the call
fails with {"error": the reason in one sentence} and changes nothing: an order of the wrong status,
an item that is not available or not of the same product, a payment method that is not the user's, a
gift card with too little on it. Else it changes what it is for, and nothing else. An answer is in
keeping with the state and with all earlier observations; a call that changes an order or a user
returns it whole, as it is afterwards. A `reference` in <task> shows how such calls were once
answered.

Answer with JSON: {"observation": what the call returns, "is_error": true or false, "ops": the JSON
Patch (RFC 6902) that the call makes to <state>, empty for a look-up}.
"""
"""In the simulator's own words a look-up makes up what is not there; here all is there."""


class Imported(msgspec.Struct, frozen=True):
    """What was written."""

    directory: Path
    files: list[str]
    tools: int
    silent: list[str]
    """Tools of which it is not known what they do to the state."""
    tasks: dict[str, int]
    """By split."""
    checked: int
    """Tasks that code alone can check, as far as it can."""


def import_tau2(
    source: Path,
    directory: Path,
    *,
    domain: str = "retail",
    tools: Path | None = None,
    train_share: float = 0.0,
) -> Imported:
    """Write the environment of a domain of τ²-bench into `directory`, whole or not at all.

    `source` is the domain's directory, or a checkout of τ²-bench's repository. `tools` are the
    schemas, where they are not `tools.json` in it. `train_share` of the tasks, told by their ids,
    are for training where τ²-bench does not say which. Raises `UsageError`.
    """
    source = _domain_directory(source, domain)
    tools = tools or source / "tools.json"
    if not tools.is_file():
        raise UsageError(
            f"{tools}: No such file; τ²-bench has its tools in Python, so where it is installed "
            f"run: {_DUMP_TOOLS.format(domain=domain)}, then name the file with --tools"
        )
    refuse_occupied(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".simia-env-", dir=directory.parent) as place:
            whole = Path(place) / "whole"
            whole.mkdir()
            imported = _write(source, tools, whole, train_share)
            whole.rename(directory)
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror}") from error
    return msgspec.structs.replace(imported, directory=directory)


def _domain_directory(source: Path, domain: str) -> Path:
    inside = source / _IN_REPOSITORY / domain
    source = inside if inside.is_dir() else source
    missing = next((name for name in _NEEDED if not (source / name).is_file()), None)
    if missing is None:
        return source
    raise UsageError(
        f"{source}: has no {missing}; expected a domain of τ²-bench with {', '.join(_NEEDED)} "
        f"(retail, airline), or a checkout of its repository, which has {_IN_REPOSITORY / domain}"
    )


def _write(source: Path, tools: Path, whole: Path, train_share: float) -> Imported:
    """Write all files into the directory `whole`."""
    shutil.copyfile(source / "policy.md", whole / "policy.md")
    shutil.copyfile(tools, whole / "tools.json")
    database = read_json(source / "db.json", "the database, a JSON object", refuse)
    if not isinstance(database, dict):
        raise UsageError(f"{source / 'db.json'}: expected the database, a JSON object")
    (whole / "prompts").mkdir()
    (whole / "prompts" / "tool.md").write_text(_TOOL_WORDS, encoding="utf-8")
    state = _indexed(source / "db.json", database)
    (whole / "state.json").write_bytes(msgspec.json.encode(state))
    schema = {"type": "object", "required": list(state), "additionalProperties": False}
    schema["properties"] = {name: {"type": "object"} for name in state}
    (whole / SCHEMA_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(schema)))
    environment = read_environment(whole, refuse)
    effects = tau2_effects(environment.tools, state)
    name = f"tau2-{source.resolve().name}"  # The library has a `retail` of its own.
    (whole / "environment.toml").write_text(_manifest(name, environment, effects), encoding="utf-8")
    environment = read_environment(whole, refuse)
    tasks = _tasks(source, environment, train_share)
    write_tasks(whole / "tasks.jsonl", tasks)
    return Imported(
        directory=whole,
        files=sorted(path.name for path in whole.iterdir()),
        tools=len(environment.tools),
        silent=[name for name in environment.validators if name not in effects],
        tasks=dict(Counter(task.split for task in tasks)),
        checked=sum(task.check is not None for task in tasks),
    )


def _indexed(path: Path, database: dict[str, Any]) -> dict[str, Any]:
    try:
        return with_indices(database)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: is not the database of τ²-bench's retail: {error!r}") from error


def _tasks(source: Path, environment: Environment, train_share: float) -> list[Task]:
    path = source / "tasks.json"
    value = read_json(path, "τ²-bench's JSON list of tasks", refuse)
    if not isinstance(value, list):
        raise UsageError(f"{path}: expected τ²-bench's JSON list of tasks")
    train = _for_training(source)
    tasks = []
    for index, raw in enumerate(value):
        try:
            task = tau2_task(raw, environment)
        except msgspec.ValidationError as error:
            raise UsageError(f"{path}: task {index}: {error}") from error
        is_for_training = _draw(task.id) < train_share if train is None else task.id in train
        split: Split = "train" if is_for_training else "heldout"
        tasks.append(msgspec.structs.replace(task, split=split))
    return tasks


def _for_training(source: Path) -> set[str] | None:
    """The ids of τ²-bench's own split; None where it has none."""
    path = source / _SPLITS_FILE
    if not path.exists():
        return None
    splits = read_json(path, "lists of task ids by split", refuse)
    try:
        return {*msgspec.convert(splits, dict[str, list[str]])["train"]}
    except (msgspec.ValidationError, KeyError) as error:
        raise UsageError(f"{path}: expected lists of task ids, `train` among them") from error


def _draw(task_id: str) -> float:
    """A number from 0 to 1 that depends on the id alone."""
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:8]) / 2**64


def _manifest(name: str, environment: Environment, effects: dict[str, ToolEffect]) -> str:
    ending = [each for each in environment.validators if each.startswith(HAND_OVER)]
    lines = [
        f"name = {_quoted(name)}",
        f"description = {_quoted('A domain of τ²-bench, simulated')}",
        f"ending_tools = {_listed(ending)}",
    ]
    for tool, effect in effects.items():
        lines += ["", f"[tools.{_quoted(tool)}]", f"effect = {_quoted(effect.effect)}"]
        if effect.returns is not None:
            lines.append(f"returns = {_quoted(effect.returns)}")
        if effect.changes:
            lines.append(f"changes = {_listed(effect.changes)}")
    return "\n".join(lines) + "\n"


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    """A text of TOML; JSON's escapes are among TOML's."""
    return msgspec.json.encode(text).decode()
