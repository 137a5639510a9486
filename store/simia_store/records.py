"""What is written down: one Struct per table. Field order is column order (see `schema`)."""

import time
from enum import StrEnum
from typing import Any

import msgspec


class RunStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    """Its owner writes, or was killed while it did."""
    DONE = "done"
    FAILED = "failed"


class TrajectoryStatus(StrEnum):
    """Where a trajectory stands."""

    RUNNING = "running"
    """The conversation goes on."""
    KEPT = "kept"
    """Simulated as a whole and passed every rule."""
    REJECTED = "rejected"
    """Simulated as a whole, and a rule or a failure kept it out; `reason` says which."""
    SCORED = "scored"
    """A finished conversation with a reward."""
    UNSCORED = "unscored"
    """A finished conversation without a reward; never a reward of 0. `reason` says why."""


class RunRecord(msgspec.Struct, frozen=True):
    """One invocation. Times are Unix seconds."""

    id: str
    kind: str
    config: dict[str, Any]
    status: RunStatus = RunStatus.RUNNING
    reason: str | None = None
    started_at: float = msgspec.field(default_factory=time.time)
    finished_at: float | None = None


class EnvironmentRecord(msgspec.Struct, frozen=True):
    """The environment of the run, as it was used."""

    name: str
    policy: str
    tools: list[dict[str, Any]]


class GroupRecord(msgspec.Struct, frozen=True):
    """G rollouts of one task, pinned to one policy version."""

    id: int
    task_id: str
    step: int
    policy_version: int
    size: int
    rewards: list[float | None] = []
    """One per rollout; None where there is no reward."""


class TrajectoryRecord(msgspec.Struct, frozen=True):
    """One conversation. Written when it starts and again when it ends."""

    id: int
    environment: str
    task_id: str
    status: TrajectoryStatus
    split: str = "train"
    group_id: int | None = None
    policy_version: int | None = None
    stop_reason: str | None = None
    reward: float | None = None
    boundary: str | None = None
    """Where it failed: policy, simulator, judge or rule."""
    reason: str | None = None
    detail: dict[str, Any] = {}
    """The judge's criteria and reasoning, repairs made, labels of the task."""
    created_at: float = msgspec.field(default_factory=time.time)
    finished_at: float | None = None


class TurnRecord(msgspec.Struct, frozen=True):
    """One step of a conversation."""

    trajectory_id: int
    position: int
    role: str
    message: dict[str, Any]
    """The chat message in OpenAI's wire format."""
    source: str | None = None
    """Who made an observation: code or llm."""
    is_error: bool = False
    """Whether an observation reports that the call failed."""
    ops: list[dict[str, Any]] = []
    """JSON Patch (RFC 6902) that an observation made to the state."""
    prompt_ids: list[int] = []
    """Token ids appended before the policy spoke: the first prompt, or the new observations."""
    token_ids: list[int] = []
    """Token ids that the policy sampled."""
    logprobs: list[float] = []
    """Behaviour log-probabilities of `token_ids`, natural log."""


class CallRecord(msgspec.Struct, frozen=True):
    """One attempt of one LLM call."""

    trajectory_id: int | None
    role: str
    endpoint: str
    model: str
    attempt: int
    status: str
    """`ok`, or the name of the error."""
    latency_s: float
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: float | None = None
    """None where prices are not known."""
    error: str | None = None
    created_at: float = msgspec.field(default_factory=time.time)


class MetricRecord(msgspec.Struct, frozen=True):
    """One measured value."""

    step: int
    name: str
    value: float
    created_at: float = msgspec.field(default_factory=time.time)


class AdapterRecord(msgspec.Struct, frozen=True):
    """One published LoRA adapter; version 0 is the base, which has none."""

    version: int
    path: str
    parent: str | None
    """What training started from: a base model's directory or an adapter's."""
    step: int
    created_at: float = msgspec.field(default_factory=time.time)


class EventRecord(msgspec.Struct, frozen=True):
    """That a row was written. The database makes these itself."""

    sequence: int
    kind: str
    """Table of the row."""
    row: int


Record = (
    RunRecord
    | EnvironmentRecord
    | GroupRecord
    | TrajectoryRecord
    | TurnRecord
    | CallRecord
    | MetricRecord
    | AdapterRecord
)
