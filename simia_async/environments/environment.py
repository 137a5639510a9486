"""An environment as data: the policy text the agent must follow, and the tools it may call."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import jsonpointer
import jsonschema
import jsonschema_rs
import msgspec
from simia_store import EnvironmentRecord

from simia_async.environments.files import Report, read_text, refuse
from simia_async.environments.json_schemas import misfits
from simia_async.environments.manifest import Manifest, read_manifest
from simia_async.environments.prompt_files import read_prompts
from simia_async.environments.state_files import is_tau2, merged, read_state
from simia_async.environments.tau2_effects import tau2_effects
from simia_async.environments.tool_effects import ToolEffect, ToolFunction, check_effects
from simia_async.environments.tools_file import read_tools, read_user_tools
from simia_async.errors import UsageError
from simia_async.messages import ToolSchema

LIBRARY = Path(__file__).with_name("library")
"""Directories of the environments that ship with simia-async."""

_SEEDS_FILES = ("seeds.jsonl", "seeds.json", "seeds.parquet")
_TASKS_FILES = ("tasks.jsonl", "tasks.json")


class Environment(msgspec.Struct, frozen=True, dict=True):
    """What is simulated. Data, not code; scripts may bind tools to code with `with_functions`."""

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
    description: str = ""
    """One line for people."""
    effects: dict[str, ToolEffect] = {}
    """What tools do to the state, by tool; those that are not declared are left out."""
    functions: dict[str, ToolFunction] = {}
    """Python that answers in place of the simulator, by tool."""
    user_tools: list[ToolSchema] = []
    """Tools of the user, on a device of their own, which the agent neither has nor sees."""

    @cached_property
    def validators(self) -> dict[str, jsonschema.Draft202012Validator]:
        """Validator of the arguments, for every declared tool of the agent."""
        return _validators(self.tools)

    @cached_property
    def user_validators(self) -> dict[str, jsonschema.Draft202012Validator]:
        """The same for the user's tools."""
        return _validators(self.user_tools)

    def state_misfit(self, state: dict[str, Any]) -> str | None:
        """Where and why a state does not fit the schema; None if it does, or if there is none.

        Fast, since the states of conversations change all the time.
        """
        if self.state_schema is None:
            return None
        if self._compiled_schema is None:
            return next(misfits(state, self.state_schema), None)
        if self._compiled_schema.is_valid(state):
            return None
        error = next(self._compiled_schema.iter_errors(state))
        pointer = jsonpointer.JsonPointer.from_parts(error.instance_path).path or "/"
        return f"{pointer}: {error.message}"

    @cached_property
    def _compiled_schema(self) -> jsonschema_rs.Draft202012Validator | None:
        """None for the few schemas that only Python reads, such as with its own regexes."""
        try:
            return jsonschema_rs.Draft202012Validator(self.state_schema or {})
        except (ValueError, jsonschema_rs.ReferencingError):
            return None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the state, its schema, what tools do to it and the tools of the user; empty
        where there is none of these.
        """
        if self.initial_state is None and not self.effects and not self.user_tools:
            return ""
        effects = {name: effect.as_told() for name, effect in self.effects.items()}
        world: tuple[Any, ...] = (self.initial_state, self.state_schema, effects)
        if self.user_tools:
            world = (*world, self.user_tools)
        return hashlib.sha256(msgspec.json.encode(world, order="sorted")).hexdigest()

    @property
    def seeds_file(self) -> Path | None:
        """The seeds that come with the environment, if any do."""
        return self._first_of(_SEEDS_FILES)

    @property
    def tasks_file(self) -> Path | None:
        """The tasks that come with the environment, if any do."""
        return self._first_of(_TASKS_FILES)

    def as_record(self) -> EnvironmentRecord:
        """What the store keeps of it."""
        return EnvironmentRecord(self.name, self.policy, self.tools, self.digest)

    def with_tools(self, tools: Iterable[ToolSchema]) -> Self:
        """The same environment with more tools declared."""
        return msgspec.structs.replace(self, tools=[*self.tools, *tools])

    def with_functions(self, functions: Mapping[str, ToolFunction]) -> Self:
        """The same environment with Python that answers for some of its tools, or of the user's.

        Raises `UsageError` for a tool that is not declared.
        """
        for name in functions:
            if name not in self.validators and name not in self.user_validators:
                raise UsageError(
                    f"with_functions: {self.name} has no tool {name!r}; it has "
                    f"{', '.join(self.validators) or 'none'}"
                )
        return msgspec.structs.replace(self, functions={**self.functions, **functions})

    def state_with(self, difference: dict[str, Any]) -> dict[str, Any]:
        """The whole state that a task means by `difference`: the initial state with it merged in
        (RFC 7396); where the environment has no initial state, `difference` itself.
        """
        if self.initial_state is None:
            return difference
        return merged(self.initial_state, difference)

    def _first_of(self, names: Iterable[str]) -> Path | None:
        paths = [self.directory / name for name in names] if self.directory else []
        return next((path for path in paths if path.exists()), None)


def load_environment(name_or_directory: str) -> Environment:
    """An environment of the library by name, or any by its directory.

    A directory holds `policy.md`, `tools.json` and, if wanted, `user_tools.json`,
    `environment.toml`, `state.json`, `state.schema.json`, `prompts/<role>.md`, `seeds.jsonl` and
    `tasks.jsonl`; one of τ²-bench
    (`db.json`, `tasks.json`) is read as it is. Raises `UsageError` naming the file and what is
    wrong with it.
    """
    return read_environment(find_directory(name_or_directory), refuse)


def place_of(environment: Environment) -> str:
    """What `load_environment` finds it by; of one that was made in Python, its name."""
    directory = environment.directory
    if directory is None or directory.parent == LIBRARY:
        return environment.name if directory is None else directory.name
    place = str(directory)
    return f"./{place}" if place in library_names() else place


def find_directory(name_or_directory: str) -> Path:
    """Where an environment lies. Raises `UsageError` if there is none of this name.

    A bare name is the library's, if it has it; `./retail` is always a directory.
    """
    in_library = name_or_directory in library_names()
    directory = LIBRARY / name_or_directory if in_library else Path(name_or_directory)
    if not directory.is_dir():
        raise UsageError(
            f"no environment {name_or_directory!r}: neither one of the library "
            f"({', '.join(library_names())}) nor a directory with policy.md and tools.json"
        )
    return directory


def library_names() -> list[str]:
    """Names of the environments that ship with simia-async."""
    return sorted(path.parent.name for path in LIBRARY.glob("*/tools.json"))


def read_environment(directory: Path, report: Report) -> Environment:
    """The environment in a directory, without what was reported to be wrong."""
    manifest = read_manifest(directory / "environment.toml", report)
    tools = read_tools(directory / "tools.json", report)
    declared = {tool["function"]["name"] for tool in tools}
    if declared:
        for unknown in sorted(set(manifest.ending_tools) - declared):
            report(
                f"{directory}/environment.toml: `ending_tools` names {unknown!r}, which "
                "tools.json does not declare"
            )
    state, schema = read_state(directory, report)
    user_tools = read_user_tools(directory / "user_tools.json", tools, report)
    return Environment(
        name=manifest.name or directory.resolve().name,
        policy=_read_policy(directory / "policy.md", report),
        tools=tools,
        ending_tools=frozenset(manifest.ending_tools) & declared,
        directory=directory,
        initial_state=state,
        state_schema=schema,
        prompts=read_prompts(directory / "prompts", report),
        description=manifest.description,
        effects=_effects(directory, manifest, tools, user_tools, state, report) if declared else {},
        user_tools=user_tools,
    )


def _validators(tools: list[ToolSchema]) -> dict[str, jsonschema.Draft202012Validator]:
    return {
        tool["function"]["name"]: jsonschema.Draft202012Validator(
            tool["function"].get("parameters", {"type": "object"})
        )
        for tool in tools
    }


def _effects(
    directory: Path,
    manifest: Manifest,
    tools: list[ToolSchema],
    user_tools: list[ToolSchema],
    state: dict[str, Any] | None,
    report: Report,
) -> dict[str, ToolEffect]:
    """What is declared; of a directory of τ²-bench, which cannot declare it, what is known."""
    if state is not None and not manifest.tools and is_tau2(directory):
        return tau2_effects(tools, state)
    place = f"{directory}/environment.toml"
    return {
        **check_effects(manifest.tools, tools, place, report),
        **check_effects(manifest.user_tools, user_tools, place, report, "user_tools"),
    }


def _read_policy(path: Path, report: Report) -> str:
    text = read_text(path, report)
    if text is not None and not text.strip():
        report(f"{path}: is empty; expected the policy that the agent must follow")
    return (text or "").strip()
