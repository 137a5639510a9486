"""One set of settings from all sources: default < file < `SIMIA_*` < flags or keywords."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from simia_async.config.fields import BadSetting, Settings, fields_of, sections_of
from simia_async.config.roles import SCRIPTED_AGENT
from simia_async.config.settings import KINDS, SHARED, RunKind
from simia_async.config.sources import Given, Layer, Sources, find_sources
from simia_async.config.toml_file import Key
from simia_async.errors import ConfigError

OPENAI_BASE_URL = "OPENAI_BASE_URL"

C = TypeVar("C", bound=Settings)


class Resolved(msgspec.Struct, Generic[C], frozen=True):
    """Effective settings, and who gave those that are not left to their defaults."""

    config: C
    given: dict[Key, Given]
    """By field: `("n",)`, `("simulator", "model")`."""


def configure(settings: type[C], stated: Layer | None = None, file: Path | None = None) -> C:
    """The settings a run works with. `stated` are its flags or keywords.

    Raises `ConfigError` if anything in file, environment or `stated` is wrong.
    """
    sources = find_sources(file, os.environ, stated or {})
    if sources.problems:
        first, *others = sources.problems
        check = f"simia config check{f' {file}' if file else ''}"
        more = f" (and {len(others)} more; for all of them: {check})" if others else ""
        raise ConfigError(first + more)
    return resolve(settings, sources, os.environ).config


def resolve(settings: type[C], sources: Sources, environ: Mapping[str, str]) -> Resolved[C]:
    """Pick every setting from the strongest source that gives it. Raises `ConfigError`."""
    kind = kind_of(settings)
    given: dict[Key, Given] = {}
    values: dict[str, Any] = {}
    for name, section in sections_of(settings).items():
        found = pick_section(name, sources, environ, kind)
        values[name] = _build(section, found)
        given |= {(name, field): value for field, value in found.items()}
    own = _pick(settings, sources.layers, (kind,))
    given |= {(field,): value for field, value in own.items()}
    return Resolved(_build(settings, own, values), given)


def pick_section(
    name: str, sources: Sources, environ: Mapping[str, str], kind: RunKind | None = None
) -> dict[str, Given]:
    """What is given to the fields of a shared section: for every kind of run, or for one."""
    prefixes: list[Key] = [(name,)] + ([(kind, name)] if kind else [])
    found = _pick(SHARED[name], sources.layers, *prefixes)
    if name in ("simulator", "policy"):
        _complete_base_url(found, environ)
    return found


def kind_of(settings: type[Settings]) -> RunKind:
    """The kind of run that has these settings."""
    return next(kind for kind, its in KINDS.items() if its is settings)


def keywords_layer(settings: type[Settings], keywords: Mapping[str, Any]) -> Layer:
    """Keywords of the API. A section is a Struct, which counts as a whole, or a mapping of the
    fields that it sets. Raises `ConfigError`.
    """
    return _keywords(settings, keywords, (kind_of(settings),), "")


def _keywords(
    settings: type[Settings], keywords: Mapping[str, Any], prefix: Key, label: str
) -> Layer:
    layer: Layer = {}
    fields = {field.name: field for field in fields_of(settings)}
    sections = sections_of(settings)
    for name, value in keywords.items():
        where = label + name
        if name in sections:
            section = msgspec.structs.asdict(value) if isinstance(value, sections[name]) else value
            if not isinstance(section, Mapping):
                kind = sections[name].__name__
                raise ConfigError(f"{where}: it must be a {kind}, or a mapping of its fields")
            layer |= _keywords(sections[name], section, (*prefix, name), f"{where}.")
        elif name in fields:
            try:
                layer[*prefix, name] = Given(fields[name].read(value), where, where)
            except BadSetting as error:
                raise ConfigError(f"{where}: {error.problem}") from None
        else:
            known = [*fields, *sections]
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown setting {where!r}; {hint}")
    return layer


def _pick(settings: type[Settings], layers: tuple[Layer, ...], *prefixes: Key) -> dict[str, Given]:
    """The strongest value of each field. In one layer the later prefix is the stronger."""
    return {
        field.name: layer[key]
        for field in fields_of(settings)
        for layer in layers
        for prefix in prefixes
        if (key := (*prefix, field.name)) in layer
    }


def _complete_base_url(found: dict[str, Given], environ: Mapping[str, str]) -> None:
    """OPENAI_BASE_URL says where a model is that was named without a place; alone it changes
    nothing.
    """
    named = {name for name, given in found.items() if given.value}
    url = environ.get(OPENAI_BASE_URL)
    if found.get("model") and found["model"].value == SCRIPTED_AGENT:
        return
    if "model" in named and "base_url" not in named and url:
        found["base_url"] = Given(url, OPENAI_BASE_URL, OPENAI_BASE_URL)


def _build(settings: type[C], found: dict[str, Given], sections: dict[str, Any] | None = None) -> C:
    values = {name: given.value for name, given in found.items()} | (sections or {})
    try:
        return settings(**values)
    except BadSetting as error:
        label = found[error.field].label if error.field in found else error.field
        raise ConfigError(f"{label}: {error.problem}") from None
