"""The state that a task wants, in a world of which more and more is told."""

from collections.abc import Iterable
from typing import Any

from simia_store import FactRecord

from simia_async.environments import Environment, Task
from simia_async.errors import BadReply
from simia_async.simulation.grounding import is_told
from simia_async.simulation.state import apply_ops


def wanted_state(
    environment: Environment, task: Task, facts: Iterable[FactRecord]
) -> dict[str, Any] | None:
    """The whole state that the task's check wants; None where it wants none.

    What the world made up when it was looked at is neither right nor wrong: it is added here too,
    where the task says nothing of it.
    """
    if task.check is None or task.check.final_state is None:
        return None
    wanted = environment.state_with(task.check.final_state)
    for fact in facts:
        for op in fact.ops:
            if not is_told(wanted, op):
                try:
                    wanted = apply_ops(wanted, [op])
                except BadReply:
                    continue  # What it stands in has no place in the wanted state.
    return wanted
