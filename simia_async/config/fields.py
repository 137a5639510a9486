"""What the Structs of the settings declare: types, bounds, help texts, defaults, flags."""

import math
import os
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from simia_async.config.secrets import HIDDEN, is_secret, shown
from simia_async.errors import ConfigError

_INT_LIMIT = 2**63
"""What SQLite can hold."""
_SHOWABLE = 10**30


class BadSetting(ConfigError):
    """One field holds what it may not. Whoever knows where the value came from says so."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings whose fields declare their own bounds; rules across fields are `__post_init__`'s.

    A field's `msgspec.Meta` holds its description and bounds; in `extra`, `flag` names its flag
    where that is not the field's name, `unset` says what None means, and `check` gives the problem
    of a text, if it has one.
    """

    flag_prefix: ClassVar[str] = ""
    """What the flags of a section begin with, where several sections have the same fields."""
    own_flags: ClassVar[Mapping[str, str]] = {}
    """Flags of fields that several sections declare alike, where one calls them otherwise."""
    own_unset: ClassVar[Mapping[str, str]] = {}
    """The same for what None means; the empty name is for all that are not named."""

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            if problem := field.problem(getattr(self, field.name)):
                raise BadSetting(field.name, problem)


class Field(msgspec.Struct, frozen=True):
    """One setting, as its Struct declares it."""

    name: str
    owner: "type[Settings]"
    """The Struct that has it."""
    type: Any
    """Without None."""
    default: Any
    optional: bool
    meta: msgspec.Meta

    @property
    def _extra(self) -> dict[str, Any]:
        return self.meta.extra or {}

    @property
    def description(self) -> str:
        """One sentence on what it is for."""
        return self.meta.description or ""

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        own: str | None = self.owner.own_flags.get(self.name)
        if own is not None:
            return own
        flag = str(self._extra.get("flag", "--" + self.name.replace("_", "-")))
        prefix = self.owner.flag_prefix
        return f"--{prefix}-{flag.removeprefix('--')}" if prefix else flag

    @property
    def unset(self) -> str:
        """What None means."""
        own, declared = self.owner.own_unset, self._extra.get("unset", "none")
        return str(own.get(self.name) or own.get("") or declared)

    @property
    def default_words(self) -> str:
        """The default, or what leaving it out means."""
        if self.default in (None, ()):
            return self.unset
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, tuple):
            return ", ".join(map(_in_words, self.default))
        return _in_words(self.default)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values it may have, if they are so few that they are named."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def is_list(self) -> bool:
        """Whether it holds many texts, or many numbers."""
        return get_origin(self.type) is tuple

    @property
    def item_type(self) -> Any:
        """What a list holds; of any other setting its own type."""
        return get_args(self.type)[0] if self.is_list else self.type

    @property
    def expected(self) -> str:
        """What would be right, for an error."""
        if self.choices:
            *most, last = map(repr, self.choices)
            return f"{', '.join(most)} or {last}"
        if self.is_list:
            return "a list of texts" if self.item_type is str else "a list of numbers"
        kinds = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
        return kinds[self.type]

    @property
    def bounds(self) -> str:
        """`at least 1`; empty without bounds."""
        words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
        limits = ((word, getattr(self.meta, name)) for name, word in words.items())
        return " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)

    def problem(self, value: object) -> str | None:
        """What is wrong with a value; None if it is right."""
        if value is None and self.optional:
            return None
        if isinstance(value, int) and abs(value) >= _SHOWABLE:
            return f"found a number of too many digits; it must be {self.expected}"
        try:
            converted = msgspec.convert(value, self.type)
        except msgspec.ValidationError:
            return f"found {shown(value)}; it must be {self.expected}"
        items = converted if self.is_list else (value,)
        return next((problem for item in items if (problem := self._problem_of_one(item))), None)

    def _problem_of_one(self, value: object) -> str | None:
        if isinstance(value, str) and (problem := self._check(value) or _text_problem(value)):
            return problem
        if isinstance(value, int | float) and not self._is_within_bounds(value):
            number = "a finite number " if self.item_type is float else ""
            return f"found {value}; it must be {number}{self.bounds}".rstrip()
        if self.type is int and isinstance(value, int) and abs(value) >= _INT_LIMIT:
            return f"found {value}; it must be below 2**63"
        return None

    def read(self, value: object) -> Any:
        """A value of a TOML file or a keyword. Raises `BadSetting`."""
        if self.optional and value == "":
            return None
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if self.is_list and self.item_type is float and isinstance(value, list | tuple):
            value = [_as_number(item) for item in value]
        if problem := self.problem(value):
            raise BadSetting(self.name, problem)
        return None if value is None else msgspec.convert(value, self.type)

    def read_text(self, text: str) -> Any:
        """A value written as text: an environment variable or a flag. Raises `BadSetting`."""
        return self.read(self._parse(text))

    def _parse(self, text: str) -> object:
        if self.type is str or (self.optional and not text):
            return text
        text = text.strip()
        if self.is_list and not text.startswith("["):
            return [item for part in text.split(",") if (item := part.strip())]
        try:
            if self.is_list:
                return msgspec.json.decode(text)
            return msgspec.convert(text, self.type, strict=False)
        except msgspec.DecodeError:
            return text  # `problem` says what is wrong with it

    def _check(self, text: str) -> str | None:
        check: Callable[[str], str | None] = self._extra.get("check", lambda _: None)
        return check(text)

    def _is_within_bounds(self, value: float) -> bool:
        meta = self.meta
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (meta.gt is None or value > meta.gt)
            and (meta.ge is None or value >= meta.ge)
            and (meta.lt is None or value < meta.lt)
            and (meta.le is None or value <= meta.le)
        )


def _in_words(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_number(item: object) -> object:
    """The number that a text of a list means; what means none is left for `problem` to say."""
    try:
        return msgspec.convert(item, float, strict=False) if isinstance(item, str) else item
    except msgspec.ValidationError:
        return item


def _text_problem(text: str) -> str | None:
    """A text of whatever field may be stored with the run, so it must be storable and no secret."""
    if is_secret(text):
        return f"found {HIDDEN}; keys belong into an environment variable that api_key_env names"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "found bytes that are not UTF-8; it must be UTF-8 text"
    return "found a NUL character; it must be plain text" if "\0" in text else None


@cache
def fields_of(settings: type[Settings]) -> tuple[Field, ...]:
    """The settings of a Struct: what has a `Meta`, and so neither its sections nor what a record
    adds to the settings of a run.
    """
    hints = get_type_hints(settings, include_extras=True)
    found = (
        _field(i.name, hints[i.name], i.default, settings) for i in msgspec.structs.fields(settings)
    )
    return tuple(field for field in found if field)


@cache
def sections_of(settings: type[Settings]) -> dict[str, type[Settings]]:
    """The fields of a Struct that are settings in turn, such as `simulator`."""
    return {
        info.name: info.type
        for info in msgspec.structs.fields(settings)
        if isinstance(info.type, type) and issubclass(info.type, Settings)
    }


def _field(name: str, hint: Any, default: Any, owner: type[Settings]) -> Field | None:
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        [hint] = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) is not Annotated:
        return None
    bare, meta = get_args(hint)
    return Field(name, owner, bare, default, optional, meta)
