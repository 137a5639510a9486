"""What the signed-in person may do in the office, and ids of what they make."""

from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.environments.tool_effects import ToolError

_LEVELS = ("none", "view", "comment", "edit")


def me(state: State) -> str:
    """E-mail address of who is signed in."""
    email: str = state["me"]["email"]
    return email


def found(state: State, collection: str, key: str) -> dict[str, Any]:
    """An entity by its id. Raises `ToolError` if there is none."""
    entity: dict[str, Any] | None = state[collection].get(key)
    if entity is None:
        raise ToolError(f"{key}: nothing of this id in {collection}")
    return entity


def colleague(state: State, email: str) -> str:
    """The address, if it is a colleague's. Raises `ToolError` else."""
    if email not in state["people"]:
        raise ToolError(f"{email}: nobody here has this address")
    return email


def allow(state: State, entity: dict[str, Any], key: str, level: str) -> None:
    """Raise `ToolError` unless the signed-in person has this access to a document or sheet."""
    own = "edit" if entity["owner"] == me(state) else entity["access"].get(me(state), "none")
    if _LEVELS.index(own) < _LEVELS.index(level):
        raise ToolError(f"{key}: you have {own} access; this needs {level}")


def next_id(entities: dict[str, Any], prefix: str) -> str:
    """The id after the highest there is."""
    numbers = [int(key.removeprefix(prefix)) for key in entities]
    return f"{prefix}{max(numbers, default=0) + 1}"


def clear(value: str, what: str) -> str:
    """The text, if there is any. Raises `ToolError` else."""
    if not value.strip():
        raise ToolError(f"{what} is empty")
    return value
