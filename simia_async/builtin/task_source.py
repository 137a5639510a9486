"""Tasks of an environment: drawn, for the scripted worlds."""

from simia_async.builtin.mini_retail import SCRIPTED_WORLDS
from simia_async.builtin.templates import draw_tasks
from simia_async.environments.environment import Environment
from simia_async.environments.task import Split, Task
from simia_async.errors import UsageError


def tasks_of(environment: Environment, count: int, *, split: Split, seed: int) -> list[Task]:
    """`count` tasks. Raises `UsageError` for an environment that has none."""
    world = SCRIPTED_WORLDS.get(environment.name)
    if world is None:
        raise UsageError(
            f"environment {environment.name!r} has no tasks to roll out; environments with tasks: "
            f"{', '.join(SCRIPTED_WORLDS)}"
        )
    if environment.tools != world.tools():
        raise UsageError(
            f"environment {environment.name!r} has the name of a scripted world but not its tools; "
            "give it a name of its own in environment.toml"
        )
    return draw_tasks(world, count, split=split, seed=seed)
