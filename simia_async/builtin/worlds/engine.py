"""The engine of the scripted worlds: what a tool call returns and changes, by declared rules.

A state is `{"<collection>": {"<id>": record}}`. A tool finds records by id, may refuse, and then
returns a record, lists those that match, or changes some. Texts may hold `{argument}` and
`{record.field}`; one that is nothing but such a hole keeps the type of what it stands for.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

import jsonpointer
import msgspec

ToolSchema = dict[str, Any]

_HOLE = re.compile(r"\{(\w+)(?:\.(\w+))?\}")


class Outcome(msgspec.Struct, frozen=True):
    """What a tool call returned, and the JSON Patch (RFC 6902) it makes to the state."""

    observation: Any
    is_error: bool = False
    ops: list[dict[str, Any]] = []


class ScriptedWorld(Protocol):
    """Anything that answers tool calls by rule."""

    @property
    def name(self) -> str:
        """Name of the environment that it is."""

    def policy(self) -> str:
        """Policy text that the agent must follow."""

    def tools(self) -> list[ToolSchema]:
        """Tool schemas in OpenAI function format."""

    def call(self, state: dict[str, Any], tool: str, arguments: dict[str, Any]) -> Outcome:
        """Answer one schema-valid tool call; `state` stays as it is."""


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tool returns `error` if `value` is one of `among`."""

    value: str
    among: list[Any]
    error: str


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`value`, plus `add` if it is a number, is put at `path` (a JSON Pointer)."""

    path: str
    value: Any
    add: int = 0


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tool. Every argument is a string and required."""

    description: str
    arguments: tuple[str, ...] = ()
    finds: dict[str, str] = {}
    """Records by name, as `collection/{id}`; one that is not there is an error."""
    refuses: tuple[Refusal, ...] = ()
    returns: str = ""
    """Name of the found record that is returned; `{"ok": true}` if empty."""
    lists: str = ""
    """Collection whose records are returned if they have the arguments as their fields."""
    shows: tuple[str, ...] = ()
    """Fields of what is returned; all if empty."""
    changes: tuple[Change, ...] = ()


class World(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """A scripted world. What its policy forbids is the agent's duty; the tools would do it."""

    name: str
    policy_text: str
    declared: dict[str, Tool] = msgspec.field(name="tools")

    def policy(self) -> str:
        """Policy text that the agent must follow."""
        return self.policy_text.strip()

    def tools(self) -> list[ToolSchema]:
        """Tool schemas in OpenAI function format."""
        return self._schemas

    @cached_property
    def _schemas(self) -> list[ToolSchema]:
        return [_schema(name, tool) for name, tool in self.declared.items()]

    def call(self, state: dict[str, Any], tool: str, arguments: dict[str, Any]) -> Outcome:
        """Answer one schema-valid tool call; `state` stays as it is.

        Raises `KeyError` for an unknown tool and for a state of another world.
        """
        rule = self.declared[tool]
        known: dict[str, Any] = dict(arguments)
        for name, place in rule.finds.items():
            collection, _, key = place.partition("/")
            record = state[collection].get(_fill(key, known))
            if record is None:
                return _error(f"{name} not found")
            known[name] = record
        for refusal in rule.refuses:
            if _fill(refusal.value, known) in [_fill(value, known) for value in refusal.among]:
                return _error(_fill(refusal.error, known))
        ops = [_operation(change, known, state) for change in rule.changes]
        return Outcome(_observation(rule, known, state, arguments), ops=ops)


def _observation(
    rule: Tool, known: Mapping[str, Any], state: dict[str, Any], arguments: Mapping[str, Any]
) -> Any:
    if rule.lists:
        records = state[rule.lists].values()
        fitting = [r for r in records if all(r[name] == arguments[name] for name in rule.arguments)]
        return [_shown(record, rule.shows) for record in fitting]
    return _shown(known[rule.returns], rule.shows) if rule.returns else {"ok": True}


def _shown(record: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: record[field] for field in fields} if fields else record


def _operation(change: Change, known: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    path, value = _fill(change.path, known), _fill(change.value, known)
    is_new = path.endswith("/-") or jsonpointer.resolve_pointer(state, path, None) is None
    value = value + change.add if change.add else value
    return {"op": "add" if is_new else "replace", "path": path, "value": value}


def _fill(text: Any, known: Mapping[str, Any]) -> Any:
    """`text` with its holes filled; what is no text stays as it is."""
    if not isinstance(text, str):
        return text
    if whole := _HOLE.fullmatch(text):
        return _value(whole, known)
    return _HOLE.sub(lambda hole: str(_value(hole, known)), text)


def _value(hole: re.Match[str], known: Mapping[str, Any]) -> Any:
    name, field = hole.groups()
    return known[name][field] if field else known[name]


def _schema(name: str, tool: Tool) -> ToolSchema:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": tool.description,
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string"} for argument in tool.arguments},
                "required": list(tool.arguments),
                "additionalProperties": False,
            },
        },
    }


def _error(message: str) -> Outcome:
    return Outcome({"error": message}, is_error=True)
