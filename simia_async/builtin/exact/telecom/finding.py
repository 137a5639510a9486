"""Entities of the operator by their ids, and ids of new ones."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.environments.tool_effects import ToolError


def found(state: State, collection: str, key: str) -> dict[str, Any]:
    """An entity by its id. Raises `ToolError` if there is none."""
    entity: dict[str, Any] | None = state[collection].get(key)
    if entity is None:
        raise ToolError(f"{key}: nothing of this id in {collection}")
    return entity


def active_line(state: State, line_id: str) -> dict[str, Any]:
    """A line that is in use. Raises `ToolError` for another."""
    line = found(state, "lines", line_id)
    if line["status"] != "active":
        raise ToolError(f"{line_id}: is {line['status']}; this needs an active line")
    return line


def gigabytes_left(state: State, line: dict[str, Any]) -> float:
    """What is left of a line's data this month; below 0 for none."""
    allowance: float = state["plans"][line["plan_id"]]["data_gb"] + line["data_added_gb"]
    used: float = line["data_used_gb"]
    return round(allowance - used, 1)
