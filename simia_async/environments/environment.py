"""An environment as data: the policy text the agent must follow, and the tools it may call."""

import tomllib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import jsonpointer
import jsonschema
import msgspec
from simia_store import EnvironmentRecord

from simia_async.errors import UsageError
from simia_async.messages import ToolSchema

LIBRARY = Path(__file__).with_name("library")
"""Directories of the environments that ship with simia-async."""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`environment.toml`. Every field may be left out, and so may the file."""

    name: str | None = None
    ending_tools: list[str] = []
    """Tools after whose observation a conversation may end without another reply."""


class Environment(msgspec.Struct, frozen=True, dict=True):
    """What is simulated. Data, not code."""

    name: str
    policy: str
    tools: list[ToolSchema]
    """Tool schemas in OpenAI function format."""
    ending_tools: frozenset[str] = frozenset()
    directory: Path | None = None
    initial_state: dict[str, Any] | None = None
    """Typed state that every conversation starts from; None where the world has none."""
    state_schema: dict[str, Any] | None = None
    """JSON Schema of the state."""
    prompts: dict[str, str] = {}
    """The environment's own words for roles of the simulator, by role."""

    @cached_property
    def validators(self) -> dict[str, jsonschema.Draft202012Validator]:
        """Validator of the arguments, for every declared tool."""
        return {
            tool["function"]["name"]: jsonschema.Draft202012Validator(
                tool["function"].get("parameters", {"type": "object"})
            )
            for tool in self.tools
        }

    @property
    def seeds_file(self) -> Path | None:
        """The seeds that come with the environment, if any do."""
        path = self.directory / "seeds.jsonl" if self.directory else None
        return path if path and path.exists() else None

    def as_record(self) -> EnvironmentRecord:
        """What the store keeps of it."""
        return EnvironmentRecord(self.name, self.policy, self.tools)

    def with_tools(self, tools: Iterable[ToolSchema]) -> Self:
        """The same environment with more tools declared."""
        return msgspec.structs.replace(self, tools=[*self.tools, *tools])


def load_environment(name_or_directory: str) -> Environment:
    """An environment of the library by name, or any by its directory.

    A directory holds `policy.md`, `tools.json` and, if wanted, `environment.toml` and
    `seeds.jsonl`. Raises `UsageError` naming the file and what is wrong with it.
    """
    directory = LIBRARY / name_or_directory
    if not (directory / "tools.json").exists():
        directory = Path(name_or_directory)
    if not directory.is_dir():
        known = ", ".join(sorted(path.name for path in LIBRARY.iterdir() if path.is_dir()))
        raise UsageError(
            f"no environment {name_or_directory!r}: neither one of the library ({known}) nor a "
            "directory with policy.md and tools.json"
        )
    manifest = _read_manifest(directory / "environment.toml")
    tools = _read_tools(directory / "tools.json")
    unknown = set(manifest.ending_tools) - {tool["function"]["name"] for tool in tools}
    if unknown:
        raise UsageError(
            f"{directory}/environment.toml: `ending_tools` names {sorted(unknown)[0]!r}, which "
            "tools.json does not declare"
        )
    return Environment(
        name=manifest.name or directory.resolve().name,
        policy=_read(directory / "policy.md").strip(),
        tools=tools,
        ending_tools=frozenset(manifest.ending_tools),
        directory=directory,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageError(f"{path}: {reason}") from error


def _read_manifest(path: Path) -> _Manifest:
    if not path.exists():
        return _Manifest()
    try:
        return msgspec.convert(tomllib.loads(_read(path)), _Manifest)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: {error}") from error


def _read_tools(path: Path) -> list[ToolSchema]:
    try:
        tools = msgspec.json.decode(_read(path), type=list[ToolSchema])
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: expected a JSON list of tool schemas: {error}") from error
    names = set()
    for index, tool in enumerate(tools):
        function = tool.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UsageError(
                f"{path}: tool {index}: no `function.name`; expected OpenAI function format, "
                '{"type": "function", "function": {"name": …, "parameters": {…}}}'
            )
        if function["name"] in names:
            raise UsageError(f"{path}: tool {function['name']!r} is declared twice")
        names.add(function["name"])
        try:
            _check_schema(function.get("parameters", {}))
        except ValueError as error:
            raise UsageError(
                f"{path}: tool {function['name']!r}: `parameters` is no JSON Schema: {error}"
            ) from error
    return tools


def _check_schema(schema: Any) -> None:
    """Raise `ValueError` unless `schema` is a JSON Schema whose references lead somewhere in it."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(error.message) from error
    for reference in _references(schema):
        try:
            jsonpointer.resolve_pointer(schema, reference.removeprefix("#"))
        except jsonpointer.JsonPointerException as error:
            raise ValueError(f"`$ref` {reference!r} leads to nothing within it") from error


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)
