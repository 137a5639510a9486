"""Settings of conversations with the simulated world: playing them, judging them, counting them."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from simia_async.config.common import (
    TINY,
    Environment,
    MaxTurns,
    Model,
    Ray,
    RubricFile,
    Seed,
    Votes,
    Workers,
)
from simia_async.config.endpoint import Endpoint
from simia_async.config.fields import BadSetting, Settings
from simia_async.config.limits import Budget, StoreConfig
from simia_async.config.roles import JudgeEndpoint, PolicyEndpoint, ToolEndpoint, UserEndpoint


class PlayConfig(Settings, frozen=True, kw_only=True):
    """What all runs of conversations with the simulated world have in common."""

    own_flags: ClassVar[Mapping[str, str]] = {"votes": "--judge-votes"}

    environment: Environment = "mini-retail"
    tasks_file: (
        Annotated[
            str, Meta(description="File of tasks.", extra={"unset": "those of the environment"})
        ]
        | None
    ) = None
    concurrency: Annotated[
        int, Meta(description="Conversations at once, at most. Can be changed under way.", ge=1)
    ] = 256
    model: Model = TINY
    max_turns: MaxTurns = 30
    max_tokens: (
        Annotated[
            int,
            Meta(
                description="Tokens of one turn of the policy, at most.",
                ge=1,
                extra={"unset": "110 for the embedded policy, else the endpoint's own"},
            ),
        ]
        | None
    ) = None
    context: (
        Annotated[
            int,
            Meta(
                description="Tokens of a whole conversation, at most.",
                ge=1,
                extra={"unset": "1024 for the embedded policy, else what the endpoint takes"},
            ),
        ]
        | None
    ) = None
    mode: Annotated[
        Literal["roles", "joint"],
        Meta(
            description="Whether user and tools are asked for apart, or of one prompt that plays "
            "both, as in the paper."
        ),
    ] = "roles"
    world: Annotated[
        Literal["grounded", "transcript", "exact"],
        Meta(
            description="Whether code keeps a state that observations must agree with, or the "
            "simulator has the conversation alone to go by; exact: code keeps the state and "
            "answers every tool, in `office`, `shell` and `telecom`."
        ),
    ] = "grounded"
    rubric: RubricFile | None = None
    votes: Votes | None = None
    seed: Seed = 0
    policy: PolicyEndpoint = PolicyEndpoint()
    simulator: Endpoint = Endpoint()
    user_endpoint: UserEndpoint = UserEndpoint()
    tool_endpoint: ToolEndpoint = ToolEndpoint()
    judge_endpoint: JudgeEndpoint = JudgeEndpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class RolloutConfig(PlayConfig, frozen=True, kw_only=True):
    """Conversations of a policy with the simulated world: played, judged and stored."""

    tasks: Annotated[int, Meta(description="Tasks to play, a group each.", ge=1)] = 32
    split: Annotated[
        Literal["train", "heldout"], Meta(description="Which of its tasks to play.")
    ] = "train"
    group_size: Annotated[
        int, Meta(description="Rollouts of a task, from one snapshot of the world.", ge=1)
    ] = 8
    adapter: (
        Annotated[
            str, Meta(description="Adapter of the embedded policy.", extra={"unset": "the base"})
        ]
        | None
    ) = None
    keep: (
        Annotated[
            float,
            Meta(
                description="Reward from which a conversation that the rules pass is kept for SFT.",
                extra={"unset": "none is kept"},
            ),
        ]
        | None
    ) = None
    workers: Workers = 0
    ray: Ray | None = None


class JudgeConfig(Settings, frozen=True, kw_only=True):
    """Judging the stored conversations of a run again, by another rubric or another judge."""

    rubric: RubricFile | None = None
    votes: Votes | None = None
    simulator: Endpoint = Endpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class EvalConfig(PlayConfig, frozen=True, kw_only=True):
    """Held-out evaluation with the world's exact check."""

    adapters: Annotated[
        tuple[str, ...],
        Meta(
            description="Adapter directories to evaluate beside the base.",
            extra={"flag": "--adapter"},
        ),
    ] = ()
    tasks: Annotated[int, Meta(description="Tasks to play.", ge=1)] = 60
    split: Annotated[
        Literal["train", "heldout"], Meta(description="Which of its tasks to play.")
    ] = "heldout"
    temperatures: Annotated[
        tuple[float, ...],
        Meta(
            description="Sampling temperatures at which each policy plays; 0 is greedy.",
            extra={"flag": "--temperature"},
        ),
    ] = (0.0, 1.0)
    k: Annotated[
        int,
        Meta(
            description="Up to which k pass^k is told: how likely a task is solved k times of k.",
            ge=1,
            extra={"flag": "-k"},
        ),
    ] = 1
    trials: (
        Annotated[
            int,
            Meta(
                description="How often each policy plays each task at each temperature.",
                ge=1,
                extra={"unset": "as many as k"},
            ),
        ]
        | None
    ) = None
    baseline: (
        Annotated[
            str,
            Meta(
                description="Evaluation of the same tasks to compare with, by its database.",
                extra={"unset": "adapters are compared with the base alone"},
            ),
        ]
        | None
    ) = None
    check_against: Annotated[
        tuple[str, ...],
        Meta(
            description="Training data in which to look for the tasks: runs that something was "
            "trained on, or files of tasks.",
            extra={"unset": "nothing is looked for"},
        ),
    ] = ()
    similarity: Annotated[
        float,
        Meta(
            description="Share of word runs in common from which a task counts as a near duplicate "
            "of training data (Jaccard, estimated by MinHash); at 1 only what says the same does.",
            gt=0,
            le=1,
        ),
    ] = 0.8
    leave_out: Annotated[
        Literal["none", "duplicates", "all"],
        Meta(
            description="Tasks not to play because training data holds them: those that it says "
            "(nearly) alike or that are made of one seed with it; all: also those that share an id."
        ),
    ] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = next((t for t in self.temperatures if t < 0), None)
        if not self.temperatures or wrong is not None:
            found = "an empty list" if wrong is None else f"{wrong:g}"
            raise BadSetting("temperatures", f"found {found}; it must be numbers of at least 0")
