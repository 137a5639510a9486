"""What a run of conversations plays: read and checked before anything is written."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from simia_async.builtin.exact import exact_functions
from simia_async.builtin.task_source import in_turn, tasks_of
from simia_async.config import PlayConfig
from simia_async.environments import Environment, Split, Task, load_environment, load_tasks
from simia_async.errors import UsageError
from simia_async.judging import Rubric, check_judgeable, choose_rubric


class Plot(msgspec.Struct, frozen=True):
    """Environment, tasks, and how they are judged."""

    environment: Environment
    tasks: list[Task]
    rubric: Rubric


def read_plot(
    config: PlayConfig,
    count: int,
    split: Split,
    environment: Environment | None = None,
    tasks: Sequence[Task] | None = None,
) -> Plot:
    """Environment, `count` tasks and rubric: those that are given, else as the settings say.

    Raises `UsageError` naming the file and what is wrong with it.
    """
    environment = environment or load_environment(config.environment)
    if config.world == "exact":
        environment = environment.with_functions(exact_functions(environment.name))
    rubric = choose_rubric(config.rubric, config.votes)
    chosen = list(tasks) if tasks is not None else _tasks(config, environment, count, split)
    _check_ids(chosen)
    check_judgeable(rubric, chosen, keeps_state=config.world != "transcript")
    return Plot(environment, chosen, rubric)


def _check_ids(tasks: Sequence[Task]) -> None:
    """Raise `UsageError` if two that differ have one id: the record holds one task an id."""
    known: dict[str, Task] = {}
    for task in tasks:
        if known.setdefault(task.id, task) != task:
            raise UsageError(
                f"task {task.id!r}: is the id of two tasks that differ; give each its own"
            )


def _tasks(config: PlayConfig, environment: Environment, count: int, split: Split) -> list[Task]:
    if config.tasks_file is None:
        return tasks_of(environment, count, split=split, seed=config.seed)
    path = Path(config.tasks_file)
    found = [task for task in load_tasks(path, environment) if task.split == split]
    if not found:
        raise UsageError(f"{path}: holds no task of the split {split!r}")
    return in_turn(found, count, split=split, seed=config.seed)
