"""Settings written as TOML: the commented template, and what is in effect with its sources."""

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

from simia_async.config.fields import Field, Settings, fields_of, sections_of
from simia_async.config.resolve import Resolved, pick_section
from simia_async.config.settings import KINDS, SHARED, RunKind
from simia_async.config.sources import Given, Sources

_HEAD = """\
# Settings of simia. As it stands this file changes nothing: every default is commented out.
# SIMIA_<SECTION>_<FIELD> in the environment is stronger than this file, a flag stronger still.
# A section that the kinds of run share can be overridden for one of them: [rl.simulator].
# Keys are never written here, only the names of the environment variables that hold them.
"""


class Line(msgspec.Struct, frozen=True):
    """A setting in effect."""

    field: Field
    value: Any
    given: Given | None

    @property
    def source(self) -> str:
        """Who gave it."""
        return self.given.place if self.given else "default"


Section = dict[str, Line]


def template() -> str:
    """A settings file with every setting described and commented out at its default."""
    parts = [_HEAD]
    for name, settings in (*KINDS.items(), *SHARED.items()):
        parts.append(f"\n# {summary(settings)}\n[{name}]\n")
        parts += [_commented(field) for field in fields_of(settings)]
    return "".join(parts)


def summary(settings: type[Settings]) -> str:
    """What a section is for, in a line."""
    return " ".join((inspect.getdoc(settings) or "").partition("\n\n")[0].split())


def explain(field: Field) -> str:
    """What a setting is for, what it may be, and what leaving it out means."""
    words = [field.description]
    if field.choices:
        words.append(f"One of {', '.join(field.choices)}.")
    if field.bounds:
        words.append(f"{field.bounds.capitalize()}.")
    if field.default is None:
        words.append(f"Not set: {field.unset}.")
    return " ".join(words)


def _commented(field: Field) -> str:
    default = "" if field.default is None else " " + toml_value(field.default)
    return f"# {explain(field)}\n#{field.name} ={default}\n"


def effective(
    resolved: Mapping[RunKind, Resolved[Any]], sources: Sources, environ: Mapping[str, str]
) -> dict[str, Section]:
    """The settings in effect, by section of the file. Of several kinds of run, those shared by all
    come once, and what differs for one in its own section.
    """
    if len(resolved) == 1:
        [(kind, only)] = resolved.items()
        return by_kind(kind, only)
    sections: dict[str, Section] = {}
    shared = {name: _shared(name, sources, environ) for name in SHARED}
    for kind, one in resolved.items():
        for name, section in by_kind(kind, one).items():
            if name == kind:
                sections[name] = section
                continue
            differing = {f: x for f, x in section.items() if x.given != shared[name][f].given}
            if differing:
                sections[f"{kind}.{name}"] = differing
    return sections | shared


def by_kind(kind: RunKind, resolved: Resolved[Any]) -> dict[str, Section]:
    """All settings of one kind of run, its own first."""
    config: Settings = resolved.config
    own = {k[0]: g for k, g in resolved.given.items() if len(k) == 1}
    sections: dict[str, Section] = {kind: _lines(config, own)}
    for name in sections_of(type(config)):
        given = {k[1]: g for k, g in resolved.given.items() if k[0] == name and len(k) > 1}
        sections[name] = _lines(getattr(config, name), given)
    return sections


def _shared(name: str, sources: Sources, environ: Mapping[str, str]) -> Section:
    found = pick_section(name, sources, environ)
    return {
        field.name: Line(field, given.value if given else field.default, given)
        for field in fields_of(SHARED[name])
        for given in [found.get(field.name)]
    }


def _lines(config: Settings, given: Mapping[str, Given]) -> Section:
    return {
        field.name: Line(field, getattr(config, field.name), given.get(field.name))
        for field in fields_of(type(config))
    }


def to_toml(sections: Mapping[str, Section]) -> str:
    """Sections as TOML; a comment tells the source of what is not a default."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{_line(line)}\n" for line in section.values())
        for name, section in sections.items()
    )


def _line(line: Line) -> str:
    name = line.field.name
    if line.given is None:
        if line.value is None:
            return f"# {name}: not set ({line.field.unset})"
        return f"{name} = {toml_value(line.value)}"
    value = "" if line.value is None else line.value
    return f"{name} = {toml_value(value)}  # {toml_value(line.source)[1:-1]}"


def toml_value(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(_character(c) for c in value) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return repr(value)


def _character(character: str) -> str:
    """Escaped if TOML or a terminal could take it for something else."""
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
