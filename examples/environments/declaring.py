"""Tools declared in a few words: OpenAI's function format, and what they do to the state."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Argument:
    """One argument of a tool."""

    schema: dict[str, Any]
    required: bool = True


def text(description: str, *choices: str) -> Argument:
    """A text, perhaps one of a few."""
    schema: dict[str, Any] = {"type": "string", "description": description}
    return Argument(schema | {"enum": [*choices]} if choices else schema)


def number(description: str) -> Argument:
    """A number."""
    return Argument({"type": "number", "description": description})


def whole(description: str) -> Argument:
    """A whole number from 1 on."""
    return Argument({"type": "integer", "minimum": 1, "description": description})


def flag(description: str) -> Argument:
    """True or false; false where it is left out."""
    return Argument({"type": "boolean", "description": description}, required=False)


def texts(description: str) -> Argument:
    """A list of texts."""
    return Argument({"type": "array", "items": {"type": "string"}, "description": description})


def maybe(argument: Argument) -> Argument:
    """The same, but it may be left out."""
    return Argument(argument.schema, required=False)


@dataclass(frozen=True)
class Declared:
    """A tool, and what it does to the state."""

    schema: dict[str, Any]
    changes: tuple[str, ...] = ()
    returns: str | None = None
    depends: tuple[str, ...] = ()
    may_change: bool = False
    """Whether it may change something, and nothing says what."""

    @property
    def name(self) -> str:
        """How it is called."""
        name: str = self.schema["function"]["name"]
        return name


def reads(
    name: str, description: str, returns: str | None = None, /, **arguments: Argument
) -> Declared:
    """A tool that only looks; what it `returns` is a pointer."""
    return Declared(_schema(name, description, arguments), returns=returns)


def derives(name: str, description: str, /, *depends: str, **arguments: Argument) -> Declared:
    """A tool that only looks; what it tells follows from what stands at these pointers."""
    return Declared(_schema(name, description, arguments), depends=depends)


def writes(name: str, description: str, /, *changes: str, **arguments: Argument) -> Declared:
    """A tool that changes what stands at these pointers, and nothing else."""
    return Declared(_schema(name, description, arguments), changes=changes)


def may_write(name: str, description: str, /, **arguments: Argument) -> Declared:
    """A tool that may change something or nothing: it depends on what it finds."""
    return Declared(_schema(name, description, arguments), may_change=True)


def manifest(
    name: str,
    description: str,
    ending: list[str],
    tools: list[Declared],
    user_tools: Sequence[Declared] = (),
) -> str:
    """The text of `environment.toml`."""
    lines = [f"name = {json.dumps(name)}", f"description = {json.dumps(description)}"]
    lines.append(f"ending_tools = {json.dumps(ending)}")
    tables = [("tools", tool) for tool in tools] + [("user_tools", tool) for tool in user_tools]
    for table, tool in tables:
        effect = "write" if tool.changes or tool.may_change else "read"
        lines += ["", f"[{table}.{tool.name}]", f'effect = "{effect}"']
        lines += [f"returns = {json.dumps(tool.returns)}"] if tool.returns else []
        lines += [f"depends = {json.dumps([*tool.depends])}"] if tool.depends else []
        lines += [f"changes = {json.dumps([*tool.changes])}"] if tool.changes else []
    return "\n".join(lines) + "\n"


def _schema(name: str, description: str, arguments: dict[str, Argument]) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {key: argument.schema for key, argument in arguments.items()},
        "required": [key for key, argument in arguments.items() if argument.required],
        "additionalProperties": False,
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}
