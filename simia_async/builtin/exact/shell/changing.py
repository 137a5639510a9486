"""Tools that change the files of the simulated machine."""

import copy
from typing import Any

from simia_async.builtin.exact.binding import State
from simia_async.builtin.exact.shell.paths import (
    below,
    check_owned,
    check_path,
    check_place,
    check_sudo,
    entry_at,
    look_at,
    may,
    new_entry,
    reach,
)
from simia_async.environments.tool_effects import ToolError

_NO_MODE = "is no mode; give three digits from 0 to 7, such as 640"


def write_file(state: State, path: str, content: str, sudo: bool = False) -> Any:
    """A file with this text, new or in place of what it held."""
    check_path(path)
    if path not in state["files"]:
        check_place(state, path, sudo)
        state["files"][path] = new_entry(state, "file", "644", sudo, content=_ended(content))
        return {"path": path, "created": True}
    entry = _writable(state, path, sudo)
    _set_content(state, entry, _ended(content))
    return {"path": path, "created": False}


def append_to_file(state: State, path: str, text: str, sudo: bool = False) -> Any:
    """Lines at the end of a text file."""
    entry = _writable(state, path, sudo)
    _set_content(state, entry, _ended(entry["content"]) + _ended(text))
    return {"path": path, "lines": len(entry["content"].splitlines())}


def replace_in_file(state: State, path: str, old: str, new: str, sudo: bool = False) -> Any:
    """Every place of a text in a file, replaced."""
    entry = _writable(state, path, sudo)
    count = entry["content"].count(old) if old else 0
    if not count or old == new:
        raise ToolError(f"{path}: {old!r} does not stand in it, or is to stay as it is")
    _set_content(state, entry, entry["content"].replace(old, new))
    return {"path": path, "replaced": count}


def make_directory(state: State, path: str, sudo: bool = False) -> Any:
    """An empty directory."""
    check_path(path)
    _refuse_occupied(state, path)
    check_place(state, path, sudo)
    state["files"][path] = new_entry(state, "directory", "755", sudo)
    return {"path": path, "created": True}


def make_link(state: State, path: str, target: str, sudo: bool = False) -> Any:
    """A link, new or in place of one."""
    check_place(state, path, sudo)
    entry_at(state, target)
    before = state["files"].get(path)
    if before is not None and before["kind"] != "link":
        raise ToolError(f"{path}: is a {before['kind']}, not a link")
    if before is not None and before["target"] == target:
        raise ToolError(f"{path}: leads to {target} already")
    made = new_entry(state, "link", "777", sudo, target=target)
    state["files"][path] = (
        made if before is None else {**before, "target": target, "modified": made["modified"]}
    )
    return {"path": path, "target": target}


def copy_path(state: State, source: str, target: str, sudo: bool = False) -> Any:
    """A copy of a file, or of a directory with all that is below it, as the user's own."""
    real, _ = look_at(state, source, sudo)
    inner = below(state, real)
    for each in inner:
        look_at(state, each, sudo)
    check_path(target)
    _refuse_occupied(state, target)
    check_place(state, target, sudo)
    _refuse_into_itself(real, target)
    mine = new_entry(state, "file", "644", sudo)
    for each in [real, *inner]:
        made = copy.deepcopy(state["files"][each])
        state["files"][target + each[len(real) :]] = {
            **made,
            **{key: mine[key] for key in ("owner", "group", "modified")},
        }
    return {"source": source, "target": target, "copied": 1 + len(inner)}


def move_path(state: State, source: str, target: str, sudo: bool = False) -> Any:
    """A file, or a directory with all that is below it, under another name or elsewhere."""
    reach(state, source, sudo)
    check_place(state, source, sudo)
    check_path(target)
    _refuse_occupied(state, target)
    check_place(state, target, sudo)
    _refuse_into_itself(source, target)
    inner = [source, *below(state, source)]
    for each in inner:
        state["files"][target + each[len(source) :]] = state["files"].pop(each)
    return {"source": source, "target": target, "moved": len(inner)}


def delete_path(state: State, path: str, recursive: bool = False, sudo: bool = False) -> Any:
    """Away with a file, a link, or a directory."""
    entry = reach(state, path, sudo)
    check_place(state, path, sudo)
    inner = below(state, path)
    if entry["kind"] == "directory" and inner and not recursive:
        raise ToolError(f"{path}: directory is not empty")
    if path == "/":
        raise ToolError("/: cannot be deleted")
    for each in [path, *inner]:
        del state["files"][each]
    return {"path": path, "deleted": 1 + len(inner)}


def set_mode(state: State, path: str, mode: str, sudo: bool = False) -> Any:
    """Other rights for a file or directory."""
    if len(mode) != 3 or not set(mode) <= set("01234567"):
        raise ToolError(f"{mode} {_NO_MODE}")
    entry = reach(state, path, sudo)
    check_owned(state, path, sudo)
    if entry["mode"] == mode:
        raise ToolError(f"{path}: has mode {mode} already")
    entry["mode"] = mode
    return {"path": path, "mode": mode}


def set_owner(state: State, path: str, owner: str, group: str) -> Any:
    """Another owner and group, always with root's rights."""
    check_sudo(state, sudo=True)
    entry = reach(state, path, sudo=True)
    if owner not in state["accounts"]:
        raise ToolError(f"{owner}: no such account")
    groups = {each for account in state["accounts"].values() for each in account["groups"]}
    if group not in groups:
        raise ToolError(f"{group}: no such group")
    if (entry["owner"], entry["group"]) == (owner, group):
        raise ToolError(f"{path}: belongs to {owner}:{group} already")
    entry["owner"], entry["group"] = owner, group
    return {"path": path, "owner": owner, "group": group}


def _writable(state: State, path: str, sudo: bool) -> dict[str, Any]:
    entry = reach(state, path, sudo)
    if entry["kind"] == "link":
        raise ToolError(f"{path}: is a link; use {entry['target']}")
    if "content" not in entry:
        raise ToolError(f"{path}: is not a text file")
    if not may(state, path, "write", sudo):
        raise ToolError(f"{path}: permission denied")
    return entry


def _set_content(state: State, entry: dict[str, Any], content: str) -> None:
    if content == entry["content"]:
        raise ToolError("the file holds exactly this already")
    entry["content"] = content
    entry["modified"] = state["session"]["today"]


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _refuse_occupied(state: State, path: str) -> None:
    if path in state["files"]:
        raise ToolError(f"{path}: exists already")


def _refuse_into_itself(source: str, target: str) -> None:
    if f"{target}/".startswith(f"{source}/"):
        raise ToolError(f"{target}: lies in {source}")
