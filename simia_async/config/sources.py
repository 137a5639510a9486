"""Where settings come from: a TOML file, and above it `SIMIA_*` variables of the environment."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from simia_async.config.fields import BadSetting, Field, Settings, fields_of, sections_of
from simia_async.config.secrets import HIDDEN, holds_secret, shown
from simia_async.config.settings import KINDS, SHARED
from simia_async.config.toml_file import Key, TomlFile, read_toml
from simia_async.errors import ConfigError

DEFAULT_FILE = "simia.toml"
FILE_VARIABLE = "SIMIA_CONFIG"
SERVER_TOKEN_VARIABLE = "SIMIA_SERVER_TOKEN"  # noqa: S105 (a name, not a token)
"""What clients of `simia serve` read: exported for a whole shell, it is no setting of any run."""
_PREFIX = "SIMIA_"


class Given(msgspec.Struct, frozen=True):
    """A value that somebody gave a setting."""

    value: Any
    label: str
    """How an error names it: `simia.toml: [generate] n`, `SIMIA_GENERATE_N`, `-n`."""
    place: str
    """Where it stands, in short: `simia.toml:3`, `SIMIA_GENERATE_N`, `-n`."""


Layer = dict[Key, Given]
"""What one source gives. Keys are those of the file: `("rl", "simulator", "model")`."""


class Sources(msgspec.Struct, frozen=True):
    """What file and environment give, and everything that is wrong with it."""

    file: str | None
    layers: tuple[Layer, ...]
    """The later, the stronger."""
    problems: tuple[str, ...]


@cache
def known_settings() -> dict[Key, Field]:
    """Every setting there is, by its key in the file."""
    tops = (*KINDS.items(), *SHARED.items())
    return {key: field for name, top in tops for key, field in _walk((name,), top)}


def _walk(prefix: Key, settings: type[Settings]) -> Iterator[tuple[Key, Field]]:
    for field in fields_of(settings):
        yield (*prefix, field.name), field
    for name, section in sections_of(settings).items():
        yield from _walk((*prefix, name), section)


def find_sources(file: Path | None, environ: Mapping[str, str], stated: Layer) -> Sources:
    """Read `file`, else the one that SIMIA_CONFIG names, else `simia.toml` if there is one here;
    and the environment. `stated` are flags or keywords. Problems are collected, not raised.
    """
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is None and Path(DEFAULT_FILE).exists():
        named = Path(DEFAULT_FILE)
    problems: list[str] = []
    from_file: Layer = {}
    if named is not None:
        try:
            from_file = _read_file(read_toml(named), problems)
        except ConfigError as error:
            problems.append(str(error))
    from_environment = _read_environment(environ, {**from_file, **stated}, problems)
    return Sources(
        str(named) if named else None, (from_file, from_environment, stated), tuple(problems)
    )


def _read_file(file: TomlFile, problems: list[str]) -> Layer:
    layer: Layer = {}

    def read(table: dict[str, Any], prefix: Key) -> None:
        for name, value in table.items():
            key = (*prefix, name)
            if isinstance(value, dict) and key in _tables():
                read(value, key)
            elif field := known_settings().get(key):
                label = f"{file.name}: [{'.'.join(prefix)}] {name}"
                try:
                    read_value = field.read(value)
                except BadSetting as error:
                    problems.append(f"{label}: {error.problem}")
                else:
                    line = file.lines.get(key)
                    place = f"{file.name}:{line}" if line else file.name
                    layer[key] = Given(read_value, label, place)
            else:
                problems.append(f"{file.name}: {_unknown_key(key, value)}")

    read(file.tables, ())
    return layer


@cache
def _tables() -> set[Key]:
    return {key[:depth] for key in known_settings() for depth in range(1, len(key))}


def _unknown_key(key: Key, value: object) -> str:
    *above, name = key
    if key in _tables():
        return f"{name}: found {shown(value)}; it must be a table, [{'.'.join(key)}]"
    section = f"[{'.'.join(above)}] " if above else ""
    if isinstance(value, dict):
        tables = [f"[{'.'.join(table)}]" for table in _tables()]
        found = f"[{'.'.join((*above, name))}]"
        return f"{_quotable(found)}: no such section; {_nearest(found, tables)}"
    here = {k[-1]: k for k in known_settings() if k[:-1] == tuple(above)}
    close = difflib.get_close_matches(name, here, 1)
    near = here[close[0]] if close else _elsewhere(name)
    if near:
        hint = f"did you mean [{'.'.join(near[:-1])}] {near[-1]}?"
    else:
        hint = _nearest(name, here or [f"[{top}]" for top in (*KINDS, *SHARED)])
    return f"{section}{_quotable(name)}: no such setting; {hint}"


def _elsewhere(name: str) -> Key | None:
    """The setting of this name, or whose flag is called so, in another section."""
    flag = name.replace("_", "-")
    found = [
        key
        for key, field in known_settings().items()
        if key[-1] == name or field.flag.lstrip("-") == flag
    ]
    return min(found, key=len, default=None)


def _nearest(found: str, known: Iterable[str]) -> str:
    known = sorted(known)
    if close := difflib.get_close_matches(found, known, 1):
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(known)}"


def _quotable(name: str) -> str:
    return HIDDEN if holds_secret(name) else name


@cache
def variables() -> dict[str, Key]:
    """Every variable that sets something, and what."""
    return {_PREFIX + "_".join(key).upper(): key for key in known_settings()}


def _read_environment(environ: Mapping[str, str], others: Layer, problems: list[str]) -> Layer:
    layer: Layer = {}
    known = variables()
    ours = {name: text for name, text in environ.items() if name.startswith(_PREFIX)}
    # A user's own key variable may be called SIMIA_… as well.
    of_keys = {given.value for key, given in others.items() if key[-1] == "api_key_env"}
    of_keys |= {text for name, text in ours.items() if name.endswith("_API_KEY_ENV")}
    for name, text in sorted(ours.items()):
        if key := known.get(name):
            try:
                value = known_settings()[key].read_text(text)
            except BadSetting as error:
                problems.append(f"{name}: {error.problem}")
            else:
                layer[key] = Given(value, name, name)
        elif name not in (FILE_VARIABLE, SERVER_TOKEN_VARIABLE) and name not in of_keys:
            [near] = difflib.get_close_matches(name, known, 1, cutoff=0)
            problems.append(f"{_quotable(name)}: no such setting; did you mean {near}?")
    return layer
