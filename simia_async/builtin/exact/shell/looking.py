"""Tools that look at the files of the simulated machine."""

from fnmatch import fnmatchcase
from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.shell.paths import (
    below,
    children,
    followed,
    look_at,
    may,
    name_of,
    parent_of,
    reach,
)
from simia_async.environments.tool_effects import ToolError

_MOST_FOUND = 40


def get_session(state: State) -> Any:
    """Who is signed in, and where."""
    return state["session"]


def list_directory(state: State, path: str, sudo: bool = False) -> Any:
    """What stands in a directory."""
    real, entry = look_at(state, path, sudo)
    if entry["kind"] != "directory":
        raise ToolError(f"{path}: is not a directory")
    inner = children(state, real)
    rows = [{"name": name_of(each), **_facts(state["files"][each])} for each in inner]
    return {"path": path, "entries": rows}


def get_file_info(state: State, path: str) -> Any:
    """Kind, owner and rights of what stands at a path; a link is not followed."""
    entry = reach(state, path, sudo=False)
    return {"path": path, **_facts(entry)}


def read_file(
    state: State, path: str, first_line: int = 1, last_line: int | None = None, sudo: bool = False
) -> Any:
    """Lines of a text file."""
    _, entry = look_at(state, path, sudo)
    if entry["kind"] == "directory":
        raise ToolError(f"{path}: is a directory")
    if "content" not in entry:
        raise ToolError(f"{path}: is not a text file")
    lines = entry["content"].splitlines()
    shown = lines[first_line - 1 : last_line]
    return {"path": path, "lines": len(lines), "content": "".join(f"{line}\n" for line in shown)}


def search_text(state: State, path: str, text: str, ignore_case: bool = False) -> Any:
    """Lines that hold a text, in a file or in all files below a directory."""
    real = followed(state, path)
    entry = reach(state, real, sudo=False)
    paths = below(state, real) if entry["kind"] == "directory" else [real]
    wanted = text.lower() if ignore_case else text
    matches = [
        {"path": each, "line": number, "text": line}
        for each in paths
        if "content" in state["files"][each] and _readable(state, each)
        for number, line in enumerate(state["files"][each]["content"].splitlines(), 1)
        if wanted in (line.lower() if ignore_case else line)
    ]
    return {"matches": matches[:_MOST_FOUND], "count": len(matches)}


def find_files(
    state: State,
    path: str,
    name: str = "*",
    kind: str | None = None,
    larger_than_mb: float | None = None,
    modified_before: str | None = None,
    owner: str | None = None,
) -> Any:
    """Paths below a directory that fit all that is asked for."""
    real = followed(state, path)
    if reach(state, real, sudo=False)["kind"] != "directory":
        raise ToolError(f"{path}: is not a directory")
    found = []
    for each in below(state, real):
        entry = state["files"][each]
        fits = (
            fnmatchcase(name_of(each), name)
            and kind in (None, entry["kind"])
            and (larger_than_mb is None or _megabytes(entry) > larger_than_mb)
            and (modified_before is None or entry["modified"] < modified_before)
            and owner in (None, entry["owner"])
        )
        if fits and _visible(state, each):
            found.append({"path": each, **_facts(entry)})
    return {"found": found[:_MOST_FOUND], "count": len(found)}


def get_disk_usage(state: State, path: str) -> Any:
    """Megabytes below a directory, and of each of its entries; text counts as nothing."""
    real = followed(state, path)
    if reach(state, real, sudo=False)["kind"] != "directory":
        raise ToolError(f"{path}: is not a directory")
    entries = {name_of(each): _total(state, each) for each in children(state, real)}
    return {"path": path, "total_mb": round(sum(entries.values()), 1), "entries_mb": entries}


def _total(state: State, path: str) -> float:
    inner = [*below(state, path), path]
    return round(sum(_megabytes(state["files"][each]) for each in inner), 1)


def _megabytes(entry: dict[str, Any]) -> float:
    size: float = entry.get("size_mb", 0)
    return size


def _facts(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "content"}


def _visible(state: State, path: str) -> bool:
    """Whether the user can see that there is something at a path."""
    try:
        reach(state, path, sudo=False)
    except ToolError:
        return False
    return may(state, parent_of(path), "read", sudo=False)


def _readable(state: State, path: str) -> bool:
    return _visible(state, path) and may(state, path, "read", sudo=False)
