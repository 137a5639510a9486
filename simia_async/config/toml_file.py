"""Reading a settings file: what it says, on which lines, and what is wrong with it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from simia_async.errors import ConfigError

_LIMIT = 256 * 1024
"""Bytes; a larger file is no settings file but a mistake."""
_STATEMENT = re.compile(r"\s*(\[|[\w\"'-].*=)")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

Key = tuple[str, ...]


class TomlFile(msgspec.Struct, frozen=True):
    """A settings file as it was read."""

    name: str
    tables: dict[str, Any]
    lines: dict[Key, int]
    """The line on which each key begins."""


def read_toml(path: Path) -> TomlFile:
    """Read a file. Raises `ConfigError` with file, line, column and what was found there."""
    text = _read(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {_broken(str(error), text)}") from None
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{path}: not usable TOML: a number is too long or a value too deeply nested"
        ) from None
    return TomlFile(str(path), tables, _lines(text))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a usable path"
        raise ConfigError(f"{path}: cannot be read: {why}") from None
    if len(data) > _LIMIT:
        raise ConfigError(f"{path}: larger than {_LIMIT // 1024} KiB; it must be a settings file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{path}: line {line}, column {column}: found byte 0x{data[error.start]:02x}; it must "
            "be UTF-8 text"
        ) from None


def _broken(message: str, text: str) -> str:
    """Where the file is broken and by which character. No more of it is quoted: it may be a key."""
    lines = text.split("\n")
    at = _POSITION.search(message)
    if at is None or at[1] is None:
        line, column = len(lines), len(lines[-1]) + 1
    else:
        line, column = int(at[1]), int(at[2])
    rest = lines[line - 1][column - 1 :] if line <= len(lines) else ""
    found = repr(rest[0]) if rest.strip() else "the end of the line"
    # tomllib quotes names of keys in these two forms; a name may be a key put in the wrong place.
    why = re.sub(r" \(.*\)", " a name", message[: at.start()] if at else message, flags=re.DOTALL)
    why = re.sub(r"(Duplicate inline table key).*", r"\1", why, flags=re.DOTALL)
    return f"line {line}, column {column}: found {found}; it must be valid TOML ({why})"


def _lines(text: str) -> dict[Key, int]:
    """The lines of the keys of valid TOML. A statement ends where what was read so far parses."""
    lines: dict[Key, int] = {}
    table: Key = ()
    start, pending = 1, ""
    rows = text.replace("\r\n", "\n").split("\n")
    for number, row in enumerate(rows, start=1):
        if not pending.strip():
            start, pending = number, ""
        pending += row + "\n"
        if number < len(rows) and not _STATEMENT.match(rows[number]):
            continue
        try:
            statement = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        keys = _keys(statement)
        if pending.lstrip().startswith("["):
            [table] = keys
        else:
            lines |= {table + key: start for key in keys}
        pending = ""
    return lines


def _keys(table: dict[str, Any]) -> list[Key]:
    keys: list[Key] = []
    for name, value in table.items():
        below = _keys(value) if isinstance(value, dict) else []
        keys += [(name, *key) for key in below] or [(name,)]
    return keys
