"""The scripted worlds by name, and the tasks drawn in them."""

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.templates import draw_tasks as draw_desk_tasks
from simia_async.builtin.worlds import airline, library, telecom
from simia_async.builtin.worlds.desk import Desk
from simia_async.builtin.worlds.drawing import Template, draw_tasks_of
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.builtin.worlds.files import read_world
from simia_async.environments import Split, Task

_TEMPLATES: dict[str, dict[str, Template]] = {
    "mini-airline": airline.TEMPLATES,
    "mini-telecom": telecom.TEMPLATES,
    "mini-library": library.TEMPLATES,
}

SCRIPTED_WORLDS: dict[str, ScriptedWorld] = {
    MINI_RETAIL.name: MINI_RETAIL,
    **{name: read_world(name) for name in _TEMPLATES},
}


def draw_tasks(world: ScriptedWorld, count: int, *, split: Split, seed: int = 0) -> list[Task]:
    """`count` tasks, every template in turn; the same for the same arguments."""
    if isinstance(world, Desk):
        return draw_desk_tasks(world, count, split=split, seed=seed)
    return draw_tasks_of(world, _TEMPLATES[world.name], count, split=split, seed=seed)
