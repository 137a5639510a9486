"""Seed trajectories: read them, leave out the ones that failed, and hold them against the tools.

Two shapes are read, one JSON object a line: tau-bench's (`traj`, with the true `reward`) and
OpenAI chat messages (`messages`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from simia_async.environments.environment import Environment
from simia_async.errors import UsageError
from simia_async.messages import Message, ToolSchema

STOP_MARK = "###STOP###"
"""What tau-bench's simulated user says to end a conversation."""


class Seed(msgspec.Struct, frozen=True):
    """One conversation to amplify: no system message, ending with what the agent did last."""

    id: str
    messages: list[Message]
    reward: float | None = None
    """The true reward, where the file knows it."""


class _Line(msgspec.Struct):
    messages: list[Message] | None = None
    traj: list[Message] | None = None
    reward: float | None = None


def load_seeds(path: Path) -> list[Seed]:
    """Every conversation of a JSONL file. Raises `UsageError` naming file, line and field."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    seeds = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            parsed = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: line {number}: {error}") from error
        messages = _trim(parsed.messages or parsed.traj or [])
        if not messages:
            raise UsageError(
                f"{path}: line {number}: no conversation in which an agent speaks; expected "
                "`messages` (OpenAI chat format) or `traj` (tau-bench)"
            )
        seeds.append(Seed(f"{path.stem}:{number}", messages, parsed.reward))
    if not seeds:
        raise UsageError(f"{path}: holds no conversation")
    return seeds


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

    Tools named in `declare` get a schema inferred from the seeds' calls. Raises `UsageError` if a
    tool stays undeclared, saying how to declare it.
    """
    counts = called_tools(seeds)
    for name in declare:
        if name not in counts:
            raise UsageError(f"--declare-tool {name}: no seed in {seeds_file} calls this tool")
    new = [name for name in declare if name not in environment.validators]
    environment = environment.with_tools(infer_schema(name, seeds) for name in new)
    missing = {name: n for name, n in counts.items() if name not in environment.validators}
    if missing:
        listed = ", ".join(f"`{name}` ({n} calls)" for name, n in sorted(missing.items()))
        flags = " ".join(f"--declare-tool {name}" for name in sorted(missing))
        tools_file = environment.directory / "tools.json" if environment.directory else "tools"
        raise UsageError(
            f"{seeds_file}: its conversations call tools that environment {environment.name!r} "
            f"does not declare: {listed}. Add their schemas to {tools_file}, or pass {flags} to "
            "infer them from the calls"
        )
    return environment


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
