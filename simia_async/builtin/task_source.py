"""Tasks of an environment: drawn, for the scripted worlds."""

from simia_async.builtin.mini_retail import SCRIPTED_WORLDS
from simia_async.builtin.templates import draw_tasks
from simia_async.environments.task import Split, Task
from simia_async.errors import UsageError


def tasks_of(environment: str, count: int, *, split: Split, seed: int) -> list[Task]:
    """`count` tasks. Raises `UsageError` for an environment that has none."""
    world = SCRIPTED_WORLDS.get(environment)
    if world is None:
        raise UsageError(
            f"environment {environment!r} has no tasks to roll out; environments with tasks: "
            f"{', '.join(SCRIPTED_WORLDS)}"
        )
    return draw_tasks(world, count, split=split, seed=seed)
