"""Tasks of an environment: those that it comes with, and drawn ones for the scripted worlds."""

import random
from collections.abc import Sequence
from itertools import cycle, islice

from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS, draw_tasks
from simia_async.environments import Environment, Split, Task, environment_tasks
from simia_async.errors import UsageError


def tasks_of(environment: Environment, count: int, *, split: Split, seed: int) -> list[Task]:
    """`count` tasks. Where an environment comes with fewer, those for training come round again;
    held-out ones are played once.

    Raises `UsageError` for an environment that has none.
    """
    world = SCRIPTED_WORLDS.get(environment.name)
    if world is None:
        return _own_tasks(environment, count, split=split, seed=seed)
    if environment.tools != world.tools():
        raise UsageError(
            f"environment {environment.name!r} has the name of a scripted world but not its tools; "
            "give it a name of its own in environment.toml"
        )
    return draw_tasks(world, count, split=split, seed=seed)


def _own_tasks(environment: Environment, count: int, *, split: Split, seed: int) -> list[Task]:
    tasks = [task for task in environment_tasks(environment) if task.split == split]
    if not tasks:
        place = environment.directory / "tasks.jsonl" if environment.directory else "tasks.jsonl"
        raise UsageError(
            f"environment {environment.name!r} has no {split} tasks to roll out; make some from "
            f"its seeds: simia tasks synthesize --env … -o {place}"
        )
    return in_turn(tasks, count, split=split, seed=seed)


def in_turn(tasks: Sequence[Task], count: int, *, split: Split, seed: int) -> list[Task]:
    """`count` of them, shuffled; those for training come round again, held-out ones do not."""
    shuffled = random.Random(seed).sample(tasks, len(tasks))
    return shuffled[:count] if split == "heldout" else list(islice(cycle(shuffled), count))
