"""Result files of τ²-bench (github.com/sierra-research/tau2-bench), as `tau2 run` writes them.

Read are `results.json` of version 1 (a file, or a directory with one file a simulation in
`simulations/`) and the one file of version 0.2. Fields are those of `Results`, `SimulationRun` and
`Message` in `src/tau2/data_model` at v1.0.1 (commit a2c0247). The agent never sees the calls that
a user makes on a device of their own, so these stand apart from the messages.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from simia_async.errors import UsageError
from simia_async.formats.conversation import Conversation
from simia_async.formats.json_text import compact
from simia_async.messages import FunctionCall, Message, ToolCall

RESULTS_FILE = "results.json"
_SIMULATIONS = "simulations"

T = TypeVar("T")

SOLVED = 1 - 1e-6
"""Reward from which τ²-bench counts a simulation as a success."""


class _Call(msgspec.Struct):
    name: str
    arguments: dict[str, Any]
    id: str = ""


class Spoken(msgspec.Struct, frozen=True):
    """One message, as τ²-bench writes it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[_Call] | None = None
    id: str = ""
    """Of a tool's message: the call that it answers."""
    requestor: Literal["user", "assistant"] = "assistant"
    """Of a tool's message: whose call it answers."""
    error: bool = False
    usage: dict[str, Any] | None = None
    cost: float | None = None
    generation_time_seconds: float | None = None

    @property
    def is_users_own(self) -> bool:
        """Whether it is a call on the user's own device, or the answer to one."""
        if self.role == "tool":
            return self.requestor == "user"
        return self.role == "user" and bool(self.tool_calls)

    def as_message(self) -> Message:
        """The same in OpenAI's wire format."""
        calls = [
            ToolCall(call.id, FunctionCall(call.name, compact(call.arguments)))
            for call in self.tool_calls or ()
        ]
        return Message(
            self.role, self.content, calls or None, self.id if self.role == "tool" else None
        )


class RewardInfo(msgspec.Struct, frozen=True):
    """How τ²-bench came to its reward."""

    reward: float
    db_check: dict[str, Any] | None = None
    action_checks: list[dict[str, Any]] | None = None
    env_assertions: list[dict[str, Any]] | None = None
    communicate_checks: list[dict[str, Any]] | None = None
    nl_assertions: list[dict[str, Any]] | None = None
    reward_basis: list[str] | None = None
    reward_breakdown: dict[str, float] | None = None


class Simulation(msgspec.Struct, frozen=True):
    """One conversation with its true reward."""

    id: str
    task_id: str | int
    termination_reason: str
    trial: int | None = None
    reward_info: RewardInfo | None = None
    messages: list[Spoken] | None = None
    duration: float | None = None
    agent_cost: float | None = None
    user_cost: float | None = None

    @property
    def reward(self) -> float | None:
        """The true reward; None where the simulation could not be run, which counts as nothing."""
        if self.reward_info is None or self.termination_reason == "infrastructure_error":
            return None
        return self.reward_info.reward

    @property
    def spoken(self) -> list[Spoken]:
        """What agent, user and tools said to each other, as the agent saw it."""
        return [message for message in self.messages or () if not message.is_users_own]


class _Side(msgspec.Struct):
    llm: str | None = None
    llm_args: dict[str, Any] | None = None


class _Environment(msgspec.Struct):
    domain_name: str
    policy: str = ""


class Info(msgspec.Struct, frozen=True):
    """How the simulations were run."""

    environment_info: _Environment
    agent_info: _Side
    user_info: _Side
    num_trials: int = 1
    git_commit: str = ""
    seed: int | None = None


class Results(msgspec.Struct, frozen=True):
    """One run of τ²-bench."""

    info: Info
    tasks: list[dict[str, Any]]
    """As its `tasks.json` has them."""
    simulations: list[Simulation] = []


def read_results(path: Path) -> Results:
    """The results in a file, or in the directory that `--save-to` named.

    Raises `UsageError` naming the file and the field.
    """
    path = path / RESULTS_FILE if path.is_dir() else path
    results = _decoded(path, Results)
    if not results.simulations:
        results = msgspec.structs.replace(results, simulations=[*_apart(path)])
    if not results.simulations:
        raise UsageError(f"{path}: holds no simulation; expected `simulations` of τ²-bench")
    silent = next((s.id for s in results.simulations if s.messages is None), None)
    if silent is not None:
        raise UsageError(
            f"{path}: simulation {silent!r} holds no `messages`; only text simulations are read, "
            "not those of τ²-bench's voice mode"
        )
    return results


class _Outline(msgspec.Struct):
    info: msgspec.Raw
    tasks: msgspec.Raw


def is_results(path: Path) -> bool:
    """Whether a file looks like results of τ²-bench, sound or not."""
    try:
        msgspec.json.decode(path.read_bytes(), type=_Outline)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def conversations_of(results: Results) -> Iterator[tuple[Conversation, Simulation]]:
    """Every simulation as a conversation with its true reward, the policy text first."""
    policy = results.info.environment_info.policy
    system = [Message("system", policy)] if policy else []
    for simulation in results.simulations:
        messages = [spoken.as_message() for spoken in simulation.spoken]
        if messages:
            name = f"{simulation.task_id}-{simulation.trial or 0}"
            yield Conversation(system + messages, id=name, reward=simulation.reward), simulation


def _apart(path: Path) -> Iterator[Simulation]:
    for file in sorted((path.parent / _SIMULATIONS).glob("*.json")):
        yield _decoded(file, Simulation)


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{path}: is no result file of τ²-bench: {error}") from error
