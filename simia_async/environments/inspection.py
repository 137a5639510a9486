"""Everything that is wrong with an environment's directory, and what it holds where nothing is."""

from pathlib import Path

import msgspec

from simia_async.environments.environment import Environment, read_environment
from simia_async.environments.seeds import Seed, called_tools, load_seeds
from simia_async.environments.task import Task
from simia_async.environments.tasks_file import read_tasks
from simia_async.errors import UsageError


class Inspection(msgspec.Struct, frozen=True):
    """What a directory holds."""

    environment: Environment
    seeds: list[Seed]
    tasks: list[Task]
    problems: list[str]
    """What must be mended, a sentence each that names file and field."""
    warnings: list[str]
    """What may be meant, but often is not."""


def inspect(directory: Path) -> Inspection:
    """Read every file of a directory and tell all that is wrong at once.

    Raises `UsageError` if there is no such directory.
    """
    if not directory.is_dir():
        why = "is no directory" if directory.exists() else "No such directory"
        raise UsageError(f"{directory}: {why}; expected one with policy.md and tools.json")
    problems: list[str] = []
    environment = read_environment(directory, problems.append)
    seeds = _read_seeds(environment, problems)
    path = environment.tasks_file
    tasks = read_tasks(path, environment, problems.append) if path else []
    warnings = [
        *_effect_warnings(environment),
        *_tool_warnings(environment, seeds),
        *_task_warnings(path, tasks),
    ]
    return Inspection(environment, seeds, tasks, problems, warnings)


def usability(seed: Seed) -> str:
    """Whether a generate run would use a seed, in a word."""
    if seed.incomplete is not None:
        return "incomplete"
    return "usable" if seed.reward is None or seed.reward > 0 else "failed"


def _read_seeds(environment: Environment, problems: list[str]) -> list[Seed]:
    if environment.seeds_file is None:
        return []
    try:
        return load_seeds(environment.seeds_file)
    except UsageError as error:
        problems.append(str(error))
        return []


def _effect_warnings(environment: Environment) -> list[str]:
    declared = [*environment.validators, *environment.user_validators]
    silent = [name for name in declared if name not in environment.effects]
    if not environment.effects or not silent:
        return []
    return [
        f"{environment.directory}/environment.toml: does not say what these tools do to the state, "
        f"so that the simulator's answers tell: {', '.join(silent)}"
    ]


def _tool_warnings(environment: Environment, seeds: list[Seed]) -> list[str]:
    if not seeds:
        return []
    counts = called_tools(seeds)
    warnings = []
    undeclared = {name: n for name, n in counts.items() if name not in environment.validators}
    if undeclared:
        listed = ", ".join(f"{name} ({n} calls)" for name, n in sorted(undeclared.items()))
        warnings.append(f"{environment.seeds_file}: calls tools that are not declared: {listed}")
    idle = [name for name in environment.validators if name not in counts]
    if idle:
        warnings.append(f"{environment.seeds_file}: no seed calls {', '.join(idle)}")
    return warnings


def _task_warnings(path: Path | None, tasks: list[Task]) -> list[str]:
    bare = [task.id for task in tasks if task.check is None and not task.rubric]
    if not bare:
        return []
    shown = ", ".join(bare[:5]) + (f" and {len(bare) - 5} more" if bare[5:] else "")
    return [f"{path}: neither `check` nor `rubric`, so that the judge has only the goal: {shown}"]
