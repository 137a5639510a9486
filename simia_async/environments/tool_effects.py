"""What tools do to the state of a world, as `environment.toml` declares it.

    [tools.get_order]
    effect = "read"
    returns = "/orders/{order_id}"

    [tools.cancel_order]
    effect = "write"
    changes = ["/orders/{order_id}/status", "/orders/{order_id}/payments"]

    [tools.estimate_delivery]
    effect = "read"
    depends = ["/orders/{order_id}", "/warehouses/*/stock"]

Paths are JSON pointers in which an argument of the tool may stand in braces.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from jsonpointer import JsonPointer, JsonPointerException

from simia_async.environments.files import Report
from simia_async.messages import ToolSchema

Parts = tuple[str, ...]
"""A JSON pointer, taken apart and unescaped."""

ToolFunction = Callable[..., Any]
"""Python that answers a tool: `function(state, **arguments)`, sync or async.

It returns the observation, or a `ToolReply` with changes of the state; `state` is a copy, and to
change it there changes nothing. It raises `ToolError` for a call that fails as a real one may.
"""

ANY = "*"
"""The segment of `changes` and `depends` that stands for any one."""

_ARGUMENT = re.compile(r"\{([^{}]+)\}")


class ToolError(Exception):
    """Raised by a `ToolFunction`: its text is the error that the agent observes."""


class ToolEffect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one tool does to the state."""

    effect: Literal["read", "write"]
    returns: str | None = None
    """The part of the state that a read returns."""
    changes: tuple[str, ...] = ()
    """What a write may change, with all that is below; `*` is any one segment. A write that
    succeeds changes some of it. None: it may change anything, or nothing.
    """
    depends: tuple[str, ...] = ()
    """What the answer of a read follows from, besides `returns`; `*` is any one segment. Once some
    of it has changed, the tool is asked anew.
    """

    def returned(self, arguments: Mapping[str, Any]) -> Parts | None:
        """Where in the state lies what a call returns; None where that cannot be told."""
        return None if self.returns is None else _filled(self.returns, arguments)

    def changeable(self, arguments: Mapping[str, Any]) -> list[Parts]:
        """What a call may change."""
        return _all_filled(self.changes, arguments)

    def follows_from(self, arguments: Mapping[str, Any]) -> list[Parts]:
        """What a call's answer depends on."""
        return _all_filled(self.depends, arguments)

    def as_told(self) -> dict[str, Any]:
        """Its fields, without one that says nothing and was not there in earlier versions."""
        told = msgspec.structs.asdict(self)
        return told if self.depends else {k: v for k, v in told.items() if k != "depends"}


def argument_of(segment: str) -> str | None:
    """The argument that a segment of a declared path stands for; None where it is literal."""
    found = _ARGUMENT.fullmatch(segment)
    return found[1] if found else None


def check_effects(
    effects: Mapping[str, ToolEffect],
    tools: list[ToolSchema],
    place: str,
    report: Report,
    table: str = "tools",
) -> dict[str, ToolEffect]:
    """The effects that are sound; every problem of the others is reported, with its `place`.

    `table` is the one in which they stand; the file of the tools is called so too.
    """
    schemas = {tool["function"]["name"]: tool["function"] for tool in tools}
    sound = {}
    for name, effect in effects.items():
        problems = list(_problems(f"{table}.{name}", name, effect, schemas, f"{table}.json"))
        for problem in problems:
            report(f"{place}: {problem}")
        if not problems:
            sound[name] = effect
    return sound


def _problems(
    key: str,
    name: str,
    effect: ToolEffect,
    schemas: Mapping[str, dict[str, Any]],
    declared_in: str,
) -> Iterator[str]:
    if name not in schemas:
        yield f"`{key}`: {declared_in} declares no tool {name!r}"
        return
    if effect.effect == "write" and effect.returns is not None:
        yield f"`{key}.returns` is for a read; this is a write, which has `changes`"
    if effect.effect == "read" and effect.changes:
        yield f"`{key}.changes` is for a write; this is a read, which has `returns`"
    if effect.effect == "write" and effect.depends:
        yield f"`{key}.depends` is for a read, whose answers are kept; this is a write"
    arguments = schemas[name].get("parameters", {}).get("properties", {})
    fields = [("changes", path) for path in effect.changes]
    fields += [("depends", path) for path in effect.depends]
    fields += [("returns", effect.returns)] if effect.returns is not None else []
    for field, path in fields:
        if problem := _path_problem(path, field, arguments):
            yield f"`{key}.{field}`: {path!r} {problem}"


def _path_problem(path: str, field: str, arguments: Mapping[str, Any]) -> str | None:
    try:
        segments = JsonPointer(path).parts
    except JsonPointerException:
        return "is no JSON pointer; expected one like '/orders/{order_id}'"
    if not segments:
        return "is the whole state; name a part of it, like '/orders/{order_id}'"
    for segment in segments:
        argument = argument_of(segment)
        if argument is None and ("{" in segment or "}" in segment):
            return f"has {segment!r}; braces hold one argument and fill their segment"
        if argument is not None and argument not in arguments:
            takes = ", ".join(arguments) or "none"
            return f"names the argument {argument!r}, which the tool does not take ({takes})"
        if segment == ANY and field == "returns":
            return "has '*', which only `changes` and `depends` may have"
    return None


def _all_filled(paths: Iterable[str], arguments: Mapping[str, Any]) -> list[Parts]:
    filled = (_filled(path, arguments) for path in paths)
    return [parts for parts in filled if parts is not None]


def _filled(path: str, arguments: Mapping[str, Any]) -> Parts | None:
    """The path with the arguments filled in; None if one is missing or cannot be a key, nor may an
    argument be `*` and so mean any.
    """
    parts = []
    for segment in JsonPointer(path).parts:
        argument = argument_of(segment)
        value = segment if argument is None else arguments.get(argument)
        if not isinstance(value, str | int) or isinstance(value, bool):
            return None
        if argument is not None and value == ANY:
            return None
        parts.append(str(value))
    return tuple(parts)
