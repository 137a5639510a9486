"""A rubric in a TOML file: read, or refused with what is wrong and where."""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import msgspec

from simia_async.config.secrets import shown
from simia_async.environments import Criterion
from simia_async.environments.files import read_text, refuse
from simia_async.errors import UsageError
from simia_async.judging.rubric import Combine, Rubric

_Key = tuple[str, str]
"""Name of a field, or index of an item; the other is empty."""


def load_rubric(path: Path) -> Rubric:
    """The rubric in a TOML file. Raises `UsageError` naming file, field and what was found."""
    text = read_text(path, refuse) or ""
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not usable TOML: {error}") from error
    try:
        rubric = msgspec.convert(tables, Rubric)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {_problem(str(error), tables)}") from error
    counts = Counter(criterion.name.strip() for criterion in rubric.criteria)
    if "" in counts:
        raise UsageError(f"{path}: the `name` of one of the [[criteria]] is empty")
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise UsageError(f"{path}: {twice!r} is the `name` of two [[criteria]]; give each its own")
    return rubric


def choose_rubric(file: str | None, votes: int | None) -> Rubric:
    """The rubric that settings name, with as many votes as they say; each may be left out.

    Raises `UsageError` as `load_rubric` does.
    """
    rubric = load_rubric(Path(file)) if file else Rubric()
    return rubric if votes is None else msgspec.structs.replace(rubric, votes=votes)


def _problem(said: str, tables: dict[str, Any]) -> str:
    """A complaint of msgspec's, with the place in front and what was found there behind."""
    problem, _, place = said.partition(" - at `$")
    keys: list[_Key] = re.findall(r"\.(\w+)|\[(\d+)\]", place)
    found: Any = tables
    for name, index in keys:
        found = found[name] if name else found[int(index)]
    if missing := re.fullmatch(r"Object missing required field `(.+)`", problem):
        return f"{_place(keys)}`{missing[1]}` is missing"
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", problem, re.DOTALL):
        known = (Criterion if keys else Rubric).__struct_fields__
        return f"{_place(keys)}found {shown(unknown[1])}; known are {', '.join(known)}"
    if problem.startswith("Invalid enum value"):
        return (
            f"{_place(keys)}found {shown(found)}; it must be one of {', '.join(get_args(Combine))}"
        )
    return f"{_place(keys)}{problem[0].lower()}{problem[1:]}, found {shown(found)}"


def _place(keys: list[_Key]) -> str:
    """A place in the file, as its author would name it."""
    field = f"`{keys[-1][0]}`" if keys and keys[-1][0] else ""
    if len(keys) < 2:
        return f"{field}: " if field else ""
    item = f"[[criteria]] number {int(keys[1][1]) + 1}"
    return f"{item}: {field}: " if field else f"{item}: "
