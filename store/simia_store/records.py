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
    STOPPED = "stopped"
    """Somebody asked it to end before it was done: a signal, or `simia runs stop`."""


class TrajectoryStatus(StrEnum):
    """Where a trajectory stands."""

    RUNNING = "running"
    """The conversation goes on."""
    PASSED = "passed"
    """Simulated and passed every rule; whether it is a duplicate is told when those before it have
    ended."""
    KEPT = "kept"
    """Simulated as a whole and passed every rule."""
    REJECTED = "rejected"
    """Simulated as a whole, and a rule or a failure kept it out; `reason` says which."""
    SCORED = "scored"
    """A finished conversation with a reward."""
    UNSCORED = "unscored"
    """A finished conversation without a reward; never a reward of 0. `reason` says why."""


class RunRecord(msgspec.Struct, frozen=True, gc=False):
    """One invocation. Times are Unix seconds."""

    id: str
    kind: str
    config: dict[str, Any]
    status: RunStatus = RunStatus.RUNNING
    reason: str | None = None
    started_at: float = msgspec.field(default_factory=time.time)
    finished_at: float | None = None


class EnvironmentRecord(msgspec.Struct, frozen=True, gc=False):
    """The environment of the run, as it was used."""

    name: str
    policy: str
    tools: list[dict[str, Any]]
    digest: str = ""
    """Of its state, and of what its tools may do to that; empty where the run had no use for it."""


class TaskStatus(StrEnum):
    """Where a task stands."""

    READY = "ready"
    ASKED = "asked"
    """Its author is asked, or its owner was killed while it was."""
    FAILED = "failed"
    """Its author had no usable answer; it is asked again when the run goes on."""


class TaskRecord(msgspec.Struct, frozen=True, gc=False):
    """One thing to be done, as it was played or made."""

    id: str
    environment: str
    split: str
    task: dict[str, Any]
    """Empty as long as it is not ready."""
    status: TaskStatus = TaskStatus.READY
    reason: str | None = None
    """Why it failed."""


class PromptRecord(msgspec.Struct, frozen=True, gc=False):
    """The words that a role of the simulator was asked with, apart from its material."""

    role: str
    sha256: str
    words: str


class SeedStatus(StrEnum):
    """What became of a seed."""

    WAITING = "waiting"
    """To be reviewed."""
    REVIEWING = "reviewing"
    """Under review, or its owner was killed while it was."""
    USED = "used"
    LEFT_OUT = "left_out"
    """Known to have failed its task."""
    REJECTED = "rejected"
    """By the pre-filter."""


class SeedRecord(msgspec.Struct, frozen=True, gc=False):
    """One seed conversation, as the run read it and judged it."""

    id: str
    status: SeedStatus
    cause: str | None
    """What kept it out, in a word: `reward`, `incomplete`, `illogical`, `malformed`, …"""
    reason: str | None
    """The same, in a sentence."""
    reward: float | None
    messages: list[dict[str, Any]]
    """The conversation as it is used: reconstructed, where the pre-filter did that."""
    detail: dict[str, Any] = {}
    """The pre-filter's verdict."""


class GroupRecord(msgspec.Struct, frozen=True, gc=False):
    """G rollouts of one task, pinned to one policy version."""

    id: int
    task_id: str
    step: int
    policy_version: int
    size: int
    rewards: list[float | None] = []
    """One per rollout; None where there is no reward."""


class TrajectoryRecord(msgspec.Struct, frozen=True, gc=False):
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
    rejected_by: str | None = None
    """The rule, or the failure, that kept it out."""
    reason: str | None = None
    detail: dict[str, Any] = {}
    """The judge's criteria and reasoning, repairs made, labels of the task."""
    created_at: float = msgspec.field(default_factory=time.time)
    finished_at: float | None = None


USERS_OWN = ("user_call", "user_tool")
"""Roles of turns that the policy never saw: what the user did on a device of their own."""


class TurnRecord(msgspec.Struct, frozen=True, gc=False):
    """One step of a conversation."""

    trajectory_id: int
    position: int
    role: str
    """That of its message; where it is of the user's own device, `user_call` for calls of the
    user, and `user_tool` for what one of them returned.
    """
    message: dict[str, Any]
    """The chat message in OpenAI's wire format."""
    source: str | None = None
    """Who made it: `llm`, or of observations also `code`, `fact` or `function`."""
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
    facts: int = 0
    """How many facts of its group an observation was made with."""
    ends: str = ""
    """Why the conversation is over with this turn; empty where it goes on."""

    @property
    def is_users_own(self) -> bool:
        """Whether it happened on the user's own device, so that the policy never saw it."""
        return self.role in USERS_OWN


class FactRecord(msgspec.Struct, frozen=True, gc=False):
    """What the simulated world has answered to a read; kept so that it answers the same again.

    Belongs to a group before its rollout's first change of the state, to the rollout afterwards.
    """

    group_id: int | None
    trajectory_id: int | None
    call: str
    """The call, written one way: the tool's name, a space, its arguments as sorted JSON."""
    observation: str
    """What it returned, as JSON text."""
    is_error: bool = False
    ops: list[dict[str, Any]] = []
    """JSON Patch (RFC 6902) that put into the state what was not known before."""
    created_at: float = msgspec.field(default_factory=time.time)


class ScoringRecord(msgspec.Struct, frozen=True, gc=False):
    """One way in which trajectories were judged. 1 is the run's own; judging again adds others."""

    id: int
    rubric: dict[str, Any]
    """Criteria, and how they make a reward."""
    judge: str
    """The model that judged; empty where code alone did."""
    created_at: float = msgspec.field(default_factory=time.time)


class JudgementRecord(msgspec.Struct, frozen=True, gc=False):
    """What one scoring says of one trajectory."""

    scoring_id: int
    trajectory_id: int
    reward: float | None
    """None where the judge failed; never 0 for that."""
    reason: str | None = None
    """The judge's reasoning, or what failed."""
    detail: dict[str, Any] = {}
    """Criteria, checks and votes."""
    created_at: float = msgspec.field(default_factory=time.time)


class CallRecord(msgspec.Struct, frozen=True, gc=False):
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
    """Part of `tokens_in` that the endpoint had in its cache."""
    tokens_reasoning: int = 0
    """Part of `tokens_out` that was thought and not said."""
    waited_s: float = 0.0
    """Time in the governor's queue before the attempt."""
    cost_usd: float | None = None
    """None where prices are not known."""
    error: str | None = None
    created_at: float = msgspec.field(default_factory=time.time)


class MetricRecord(msgspec.Struct, frozen=True, gc=False):
    """One measured value."""

    step: int
    name: str
    value: float
    created_at: float = msgspec.field(default_factory=time.time)


class StatisticsRecord(msgspec.Struct, frozen=True, gc=False):
    """What a limiter, a queue or the writer said of itself at one moment."""

    source: str
    sample: dict[str, Any]
    created_at: float = msgspec.field(default_factory=time.time)


class AdapterRecord(msgspec.Struct, frozen=True, gc=False):
    """One published LoRA adapter; version 0 is the base, which has none."""

    version: int
    path: str
    parent: str | None
    """What training started from: a base model's directory or an adapter's."""
    step: int
    created_at: float = msgspec.field(default_factory=time.time)


class SessionRecord(msgspec.Struct, frozen=True, gc=False):
    """One stretch of time in which a process owned the run. A run that was cut off has several.

    For display: who owns a run is decided by the lock, not by the heartbeat.
    """

    id: int
    pid: int
    host: str
    version: str
    """Of simia-async."""
    started_at: float
    beat_at: float
    ended_at: float | None = None
    """None while it goes on, and for ever if it was killed."""


class CommandStatus(StrEnum):
    """What became of a command."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


class CommandRecord(msgspec.Struct, frozen=True, gc=False):
    """What another process asks of the run's owner, and the owner's answer."""

    id: int | None
    name: str
    arguments: dict[str, Any] = {}
    created_at: float = msgspec.field(default_factory=time.time)
    status: CommandStatus = CommandStatus.WAITING
    answer: str | None = None
    """While it waits: what is being done about it, where that takes time."""
    handled_at: float | None = None


class EventRecord(msgspec.Struct, frozen=True, gc=False):
    """That a commit wrote rows `first` to `last` of the table `kind`.

    Both are 0 for the small tables whose rows have no number: read those again.
    """

    sequence: int
    kind: str
    first: int
    last: int


class OutcomeCount(msgspec.Struct, frozen=True, gc=False):
    """How many trajectories stand so. The database keeps count itself."""

    status: TrajectoryStatus
    cause: str
    """The rule that rejected it, else where it failed, else how the conversation ended."""
    count: int


class UsageCount(msgspec.Struct, frozen=True, gc=False):
    """Attempts of calls by role, endpoint, model and outcome. Kept with every commit."""

    role: str
    endpoint: str
    model: str
    status: str
    calls: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    priced: int
    """How many of the calls have a known price."""
    cost_usd: float
    """Sum over those."""
    max_cost_usd: float
    latency_s: float
    """Sum over all."""


Record = (
    RunRecord
    | SessionRecord
    | EnvironmentRecord
    | PromptRecord
    | SeedRecord
    | TaskRecord
    | GroupRecord
    | TrajectoryRecord
    | TurnRecord
    | FactRecord
    | ScoringRecord
    | JudgementRecord
    | CallRecord
    | MetricRecord
    | StatisticsRecord
    | AdapterRecord
    | CommandRecord
)
