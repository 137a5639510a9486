"""Seed trajectories: read them, leave out the ones that failed, and hold them against the tools."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from simia_async.environments.environment import LIBRARY, Environment
from simia_async.environments.tools_file import parameters_problem, tool_name
from simia_async.errors import UsageError
from simia_async.formats.reading import read_conversations
from simia_async.messages import Message, ToolSchema

STOP_MARK = "###STOP###"
"""What tau-bench's simulated user says to end a conversation."""


class Seed(msgspec.Struct, frozen=True):
    """One conversation to amplify: no system message, ending with what the agent did last."""

    id: str
    messages: list[Message]
    reward: float | None = None
    """The true reward, where the file knows it."""
    incomplete: str | None = None
    """What the file does not tell of the conversation; None if it is all there."""


def load_seeds(path: Path) -> list[Seed]:
    """Every conversation of a file, in any format that `formats.reading` knows.

    Raises `UsageError` naming file, place and field.
    """
    seeds: dict[str, Seed] = {}
    for read in read_conversations(path):
        messages = _trim(read.messages)
        if not messages:
            raise UsageError(f"{path}: {read.id}: no conversation in which an agent speaks")
        name = _unused(read.id, seeds)
        seeds[name] = Seed(name, messages, read.reward, read.incomplete)
    return list(seeds.values())


def _unused(name: str, taken: dict[str, Seed]) -> str:
    """The name, numbered if the file has it twice."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}~{number}"
    return candidate


def _trim(messages: list[Message]) -> list[Message]:
    """Without the system message, and without a last word of the user that nobody answered."""
    kept = [message for message in messages if message.role != "system"]
    while kept and kept[-1].role == "user":
        kept.pop()
    return kept


def successful(seeds: Sequence[Seed]) -> list[Seed]:
    """Seeds that are not known to have failed their task (true reward 0)."""
    return [seed for seed in seeds if seed.reward is None or seed.reward > 0]


def called_tools(seeds: Iterable[Seed]) -> Counter[str]:
    """How often each tool is called."""
    return Counter(
        call.function.name
        for seed in seeds
        for message in seed.messages
        for call in message.tool_calls or ()
    )


def declare_from_seeds(
    environment: Environment, seeds: Sequence[Seed], declare: Sequence[str], seeds_file: Path
) -> Environment:
    """The environment with every tool that its seeds call.

    Tools named in `declare` get the schema that the seeds' file itself declares, else one inferred
    from the calls. Raises `UsageError` if a tool stays undeclared, saying how to declare it.
    """
    counts = called_tools(seeds)
    for name in declare:
        if name not in counts:
            raise UsageError(f"--declare-tool {name}: no seed in {seeds_file} calls this tool")
    new = [name for name in declare if name not in environment.validators]
    missing = {name: n for name, n in counts.items() if name not in environment.validators}
    # The file is read for its declarations only where some are needed.
    told = _declared_in(seeds_file, missing.keys()) if missing else {}
    environment = environment.with_tools(
        told.get(name) or infer_schema(name, seeds) for name in dict.fromkeys(new)
    )
    missing = {name: n for name, n in missing.items() if name not in environment.validators}
    if missing:
        raise UsageError(_undeclared(environment, missing, told, seeds_file))
    return environment


def _declared_in(seeds_file: Path, wanted: Collection[str]) -> dict[str, ToolSchema]:
    """What the file itself declares of the tools wanted, by name."""
    told: dict[str, ToolSchema] = {}
    for conversation in read_conversations(seeds_file):
        for tool in conversation.tools:
            name = tool_name(tool)
            if name is None or name not in wanted or name in told:
                continue
            if problem := parameters_problem(tool):
                raise UsageError(f"{seeds_file}: {conversation.id}: `tools`: {problem}")
            told[name] = tool
    return told


def _undeclared(
    environment: Environment, missing: dict[str, int], told: dict[str, ToolSchema], path: Path
) -> str:
    listed = ", ".join(f"`{name}` ({n} calls)" for name, n in sorted(missing.items()))
    flags = " ".join(f"--declare-tool {name}" for name in sorted(missing))
    tools_file = str(environment.directory / "tools.json") if environment.directory else "tools"
    if environment.directory and environment.directory.parent == LIBRARY:
        tools_file = f"a copy's tools.json (simia env init DIR --from {environment.directory.name})"
    how = "infer them from the calls"
    if missing.keys() <= told.keys():
        how = f"take them as {path.name} declares them"
    elif missing.keys() & told.keys():
        how = f"take those that {path.name} declares, and infer the others from the calls"
    return (
        f"{path}: its conversations call tools that environment {environment.name!r} does not "
        f"declare: {listed}. Add their schemas to {tools_file}, or pass {flags} to {how}"
    )


_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
_JSON_TYPES |= {list: "array", dict: "object"}


def infer_schema(name: str, seeds: Iterable[Seed]) -> ToolSchema:
    """A schema for tool `name` from the arguments it was called with."""
    types: dict[str, set[str]] = defaultdict(set)
    present: Counter[str] = Counter()
    calls = 0
    for seed in seeds:
        for message in seed.messages:
            for call in message.tool_calls or ():
                if call.function.name == name:
                    arguments = _decode_arguments(seed, name, call.function.arguments)
                    calls += 1
                    present.update(arguments.keys())
                    for key, value in arguments.items():
                        types[key].add(_JSON_TYPES.get(type(value), "null"))
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Inferred from {calls} calls in the seeds.",
            "parameters": {
                "type": "object",
                "properties": {key: {"type": sorted(types[key])} for key in types},
                "required": sorted(key for key in types if present[key] == calls),
            },
        },
    }


def _decode_arguments(seed: Seed, name: str, text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(f"{seed.id}: arguments of a call of {name!r}: {error}") from error
