"""Files of the simulated machine: where paths lead, and who may do what there."""

from typing import Any, Literal

from simia_async.builtin.exact.binding import State
from simia_async.environments.tool_effects import ToolError

Right = Literal["read", "write", "enter"]

_BITS: dict[Right, int] = {"read": 4, "write": 2, "enter": 1}
_MOST_LINKS = 8


def entry_at(state: State, path: str) -> dict[str, Any]:
    """What stands at a path as it is written. Raises `ToolError` if nothing does."""
    check_path(path)
    entry: dict[str, Any] | None = state["files"].get(path)
    if entry is None:
        raise ToolError(f"{path}: no such file or directory")
    return entry


def check_path(path: str) -> None:
    """Raise `ToolError` unless a path is absolute and in its simplest form."""
    parts = path.split("/")[1:]
    if not path.startswith("/") or (path != "/" and not all(parts)) or {".", ".."} & {*parts}:
        raise ToolError(f"{path}: give an absolute path, without '.', '..' or a slash at its end")


def parent_of(path: str) -> str:
    """The directory that a path lies in."""
    return path.rpartition("/")[0] or "/"


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2] or "/"


def below(state: State, path: str) -> list[str]:
    """All paths below a directory, in order."""
    start = path.rstrip("/") + "/"
    return sorted(each for each in state["files"] if each.startswith(start) and each != path)


def children(state: State, path: str) -> list[str]:
    """Paths right in a directory, in order."""
    return [each for each in below(state, path) if parent_of(each) == path]


def followed(state: State, path: str) -> str:
    """The path with every link in it followed, the last part included."""
    check_path(path)
    for _ in range(_MOST_LINKS):
        link = _first_link(state, path)
        if link is None:
            return path
        target: str = state["files"][link]["target"]
        path = target + path[len(link) :]
    raise ToolError(f"{path}: too many levels of links")


def _first_link(state: State, path: str) -> str | None:
    parts = path.split("/")
    for length in range(2, len(parts) + 1):
        start = "/".join(parts[:length])
        if state["files"].get(start, {}).get("kind") == "link":
            return start
    return None


def check_sudo(state: State, sudo: bool) -> None:
    """Raise `ToolError` if rights are asked for that the user cannot get."""
    if sudo and not state["session"]["sudo"]:
        raise ToolError(f"{state['session']['user']} is not allowed to use sudo")


def may(state: State, path: str, right: Right, sudo: bool) -> bool:
    """Whether the signed-in user has a right to what stands at a path."""
    if sudo:
        return True
    entry, session = state["files"][path], state["session"]
    if entry["owner"] == session["user"]:
        digit = entry["mode"][0]
    elif entry["group"] in session["groups"]:
        digit = entry["mode"][1]
    else:
        digit = entry["mode"][2]
    return bool(int(digit) & _BITS[right])


def reach(state: State, path: str, sudo: bool) -> dict[str, Any]:
    """What stands at a real path, if the user can get there. Raises `ToolError`."""
    check_sudo(state, sudo)
    _enter(state, path, sudo)
    return entry_at(state, path)


def look_at(state: State, path: str, sudo: bool) -> tuple[str, dict[str, Any]]:
    """Where a path leads, links followed, and what stands there, if the user may read it."""
    real = followed(state, path)
    entry = reach(state, real, sudo)
    if not may(state, real, "read", sudo):
        raise ToolError(f"{path}: permission denied")
    return real, entry


def check_place(state: State, path: str, sudo: bool) -> None:
    """Raise `ToolError` unless the user may make or remove something at a real path."""
    check_sudo(state, sudo)
    check_path(path)
    parent = parent_of(path)
    real = followed(state, parent)
    if real != parent:
        raise ToolError(f"{path}: {parent} leads over a link; use {real}")
    _enter(state, path, sudo)
    if entry_at(state, parent)["kind"] != "directory":
        raise ToolError(f"{parent}: is not a directory")
    if not may(state, parent, "write", sudo):
        raise ToolError(f"{path}: permission denied")


def check_owned(state: State, path: str, sudo: bool) -> None:
    """Raise `ToolError` unless the user may change the rights of what stands at a path."""
    if not sudo and state["files"][path]["owner"] != state["session"]["user"]:
        raise ToolError(f"{path}: permission denied")


def new_entry(state: State, kind: str, mode: str, sudo: bool, **fields: Any) -> dict[str, Any]:
    """Something that the user makes, or root does."""
    session = state["session"]
    owner = "root" if sudo else session["user"]
    group = "root" if sudo else session["groups"][0]
    made = {"kind": kind, "owner": owner, "group": group, "mode": mode}
    return {**made, "modified": session["today"], **fields}


def _enter(state: State, path: str, sudo: bool) -> None:
    """Raise `ToolError` unless the user may enter every directory on the way to a path."""
    check_path(path)
    parts = path.split("/")
    for length in range(1, len(parts)):
        directory = "/".join(parts[:length]) or "/"
        if directory not in state["files"]:
            raise ToolError(f"{path}: no such file or directory")
        if not may(state, directory, "enter", sudo):
            raise ToolError(f"{path}: permission denied")
