"""Settings of every kind of run. Defaults are the embedded, offline ones."""

from typing import Annotated, Literal

from msgspec import Meta

from simia_async.config.endpoint import Endpoint
from simia_async.config.fields import Settings
from simia_async.config.limits import Budget, StoreConfig
from simia_async.config.roles import (
    JudgeEndpoint,
    PolicyEndpoint,
    ToolEndpoint,
    UserEndpoint,
)

TINY = "builtin/tiny"
"""Name of the tiny base policy that ships with simia-async."""

RunKind = Literal["generate", "tasks", "rollout", "judge", "sft", "rl", "eval"]

Environment = Annotated[
    str,
    Meta(
        description="Environment: a name of the library, or a directory.", extra={"flag": "--env"}
    ),
]
Model = Annotated[
    str, Meta(description="Base model of the policy: builtin/tiny, or a local model directory.")
]
Seed = Annotated[int, Meta(description="Seed of everything random.", ge=0, lt=2**31)]
TokensPerBatch = Annotated[int, Meta(description="Tokens of one batch of the trainer.", ge=1)]
MaxTurns = Annotated[
    int, Meta(description="How often the policy may speak in a conversation.", ge=1)
]
RubricFile = Annotated[
    str,
    Meta(
        description="TOML file of criteria, and how they make a reward.",
        extra={"unset": "the tasks' own"},
    ),
]
LoraRank = Annotated[int, Meta(description="Rank of the LoRA adapter.", ge=1)]


ThinkPolicy = Literal["keep", "calls", "strip"]


class SeedsConfig(Settings, frozen=True, kw_only=True):
    """What every kind of run that works from seeds needs: where they are, and which are used."""

    environment: Environment = "mini-retail"
    seeds: (
        Annotated[
            str,
            Meta(
                description="Seed conversations, a file in any of the formats that are read.",
                extra={"unset": "those of the environment"},
            ),
        ]
        | None
    ) = None
    keep_failed: Annotated[
        bool, Meta(description="Also use seeds that failed their task (reward 0).")
    ] = False
    prefilter: Annotated[
        bool, Meta(description="Let the simulator review each seed before it is used.")
    ] = True
    declare_tools: Annotated[
        tuple[str, ...],
        Meta(
            description="Tools of the seeds to declare, their schemas inferred from the calls.",
            extra={"flag": "--declare-tool"},
        ),
    ] = ()
    seed: Seed = 0
    simulator: Endpoint = Endpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class GenerateConfig(SeedsConfig, frozen=True, kw_only=True):
    """Simia-SFT: amplify seeds into `n` kept trajectories."""

    n: Annotated[
        int,
        Meta(
            description="Trajectories to keep; simulation stops at 1.5 times as many.",
            ge=1,
            extra={"flag": "-n"},
        ),
    ] = 64
    personas: Annotated[
        tuple[str, ...],
        Meta(
            description="Kinds of users to write.",
            extra={"flag": "--persona", "unset": "a list of ours"},
        ),
    ] = ()
    scenarios: Annotated[
        tuple[str, ...],
        Meta(
            description="Situations to write about.",
            extra={"flag": "--scenario", "unset": "the simulator's choice"},
        ),
    ] = ()
    difficulty: Annotated[
        Literal["mixed", "easy", "medium", "hard"], Meta(description="How hard the tasks are.")
    ] = "mixed"
    tool_errors: Annotated[
        float,
        Meta(description="Share of trajectories in which a call is to fail first.", ge=0, le=1),
    ] = 0.15
    refusals: Annotated[
        float,
        Meta(description="Share in which the policy makes the agent refuse.", ge=0, le=1),
    ] = 0.15
    turns: Annotated[
        int,
        Meta(description="Messages of a trajectory, about; 0: as many as the seed has.", ge=0),
    ] = 0
    think: Annotated[
        ThinkPolicy,
        Meta(
            description="<think> blocks of the agent: keep all, only those before calls, or none."
        ),
    ] = "keep"
    max_characters: Annotated[int, Meta(description="A longer trajectory is rejected.", ge=1)] = (
        100_000
    )
    similarity: Annotated[
        float,
        Meta(
            description="A trajectory this similar to a seed or an earlier one (Jaccard, estimated "
            "by MinHash) is a duplicate; at 1 only what says the same is.",
            gt=0,
            le=1,
        ),
    ] = 0.85


class TasksConfig(SeedsConfig, frozen=True, kw_only=True):
    """Tasks for RL, made from seeds or from what a run kept."""

    source: (
        Annotated[
            str,
            Meta(
                description="Run whose kept trajectories are used besides the seeds.",
                extra={"flag": "--from", "unset": "seeds only"},
            ),
        ]
        | None
    ) = None
    heldout: Annotated[
        float,
        Meta(description="Share of the seeds whose tasks are held out.", ge=0, lt=1),
    ] = 0.2


class SftConfig(Settings, frozen=True, kw_only=True):
    """LoRA supervised fine-tuning on a run's kept trajectories."""

    model: Model = TINY
    epochs: Annotated[int, Meta(description="Passes over the data.", ge=1)] = 3
    learning_rate: Annotated[
        float, Meta(description="Peak learning rate.", gt=0, extra={"flag": "--lr"})
    ] = 4e-3
    schedule: Annotated[
        Literal["linear", "cosine", "constant"],
        Meta(description="How the learning rate falls; all but constant end at a tenth."),
    ] = "linear"
    warm_up: Annotated[
        float, Meta(description="Share of the steps in which the learning rate rises.", ge=0, le=1)
    ] = 0.1
    weight_decay: Annotated[float, Meta(description="AdamW's weight decay.", ge=0)] = 0.0
    max_grad_norm: Annotated[
        float, Meta(description="Gradients are scaled down to this norm.", gt=0)
    ] = 1.0
    tokens_per_batch: TokensPerBatch = 2048
    packing: Annotated[
        bool, Meta(description="Lay samples side by side in a batch, instead of padding them.")
    ] = True
    accumulate: Annotated[int, Meta(description="Batches of an optimizer step.", ge=1)] = 1
    lora_rank: LoraRank = 16
    lora_targets: Annotated[
        tuple[str, ...],
        Meta(
            description="Modules that get an adapter, by the end of their names.",
            extra={"flag": "--lora-target", "unset": "all linear layers"},
        ),
    ] = ()
    seed: Seed = 0
    store: StoreConfig = StoreConfig()


class PlayConfig(Settings, frozen=True, kw_only=True):
    """What training and evaluation by rollouts have in common."""

    environment: Environment = "mini-retail"
    model: Model = TINY
    max_turns: MaxTurns = 14
    max_tokens: Annotated[
        int, Meta(description="Tokens of one turn of the policy, at most.", ge=1)
    ] = 110
    context: Annotated[int, Meta(description="Tokens of a whole conversation, at most.", ge=1)] = (
        1024
    )
    seed: Seed = 0
    simulator: Endpoint = Endpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class RolloutConfig(Settings, frozen=True, kw_only=True):
    """Conversations of a policy with the simulated world: played, judged and stored."""

    environment: Environment = "mini-retail"
    tasks: Annotated[int, Meta(description="Tasks to play, a group each.", ge=1)] = 32
    tasks_file: (
        Annotated[
            str, Meta(description="File of tasks.", extra={"unset": "those of the environment"})
        ]
        | None
    ) = None
    split: Annotated[
        Literal["train", "heldout"], Meta(description="Which of its tasks to play.")
    ] = "train"
    group_size: Annotated[
        int, Meta(description="Rollouts of a task, from one snapshot of the world.", ge=1)
    ] = 8
    concurrency: Annotated[
        int, Meta(description="Conversations at once, at most. Can be changed under way.", ge=1)
    ] = 256
    model: Model = TINY
    adapter: (
        Annotated[
            str, Meta(description="Adapter of the embedded policy.", extra={"unset": "the base"})
        ]
        | None
    ) = None
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
        Literal["grounded", "transcript"],
        Meta(
            description="Whether code keeps a state that observations must agree with, or the "
            "simulator has the conversation alone to go by."
        ),
    ] = "grounded"
    rubric: RubricFile | None = None
    votes: (
        Annotated[
            int,
            Meta(
                description="How often the judge is asked of one conversation.",
                ge=1,
                extra={"flag": "--judge-votes", "unset": "as the rubric says, else once"},
            ),
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
    seed: Seed = 0
    policy: PolicyEndpoint = PolicyEndpoint()
    simulator: Endpoint = Endpoint()
    user_endpoint: UserEndpoint = UserEndpoint()
    tool_endpoint: ToolEndpoint = ToolEndpoint()
    judge_endpoint: JudgeEndpoint = JudgeEndpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class JudgeConfig(Settings, frozen=True, kw_only=True):
    """Judging the stored conversations of a run again, by another rubric or another judge."""

    rubric: RubricFile | None = None
    votes: (
        Annotated[
            int,
            Meta(
                description="How often the judge is asked of one conversation.",
                ge=1,
                extra={"unset": "as the rubric says, else once"},
            ),
        ]
        | None
    ) = None
    simulator: Endpoint = Endpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class GrpoConfig(PlayConfig, frozen=True, kw_only=True):
    """Simia-RL: GRPO on rollouts in the simulated world. On-policy: rollouts, then the step."""

    adapter: (
        Annotated[
            str,
            Meta(description="Adapter to start from, such as SFT's.", extra={"unset": "the base"}),
        ]
        | None
    ) = None
    steps: Annotated[int, Meta(description="GRPO steps.", ge=1)] = 3
    groups: Annotated[int, Meta(description="Groups a step, one task each.", ge=1)] = 8
    group_size: Annotated[
        int,
        Meta(description="Rollouts a group; advantages are relative to the group's mean.", ge=2),
    ] = 8
    learning_rate: Annotated[
        float, Meta(description="Learning rate.", gt=0, extra={"flag": "--lr"})
    ] = 1e-3
    clip_low: Annotated[
        float, Meta(description="How far below 1 the importance ratio counts.", gt=0)
    ] = 0.2
    clip_high: Annotated[
        float, Meta(description="How far above 1 the importance ratio counts.", gt=0)
    ] = 0.28
    tokens_per_batch: TokensPerBatch = 6000
    lora_rank: LoraRank = 16


class EvalConfig(PlayConfig, frozen=True, kw_only=True):
    """Held-out evaluation with the world's exact check."""

    adapters: Annotated[
        tuple[str, ...],
        Meta(
            description="Adapter directories to evaluate beside the base.",
            extra={"flag": "--adapter"},
        ),
    ] = ()
    tasks: Annotated[int, Meta(description="Held-out tasks.", ge=1)] = 60
    temperature: Annotated[
        float, Meta(description="Sampling temperature of the policy; 0 is greedy.", ge=0)
    ] = 0.0


KINDS: dict[RunKind, type[Settings]] = {
    "generate": GenerateConfig,
    "tasks": TasksConfig,
    "rollout": RolloutConfig,
    "judge": JudgeConfig,
    "sft": SftConfig,
    "rl": GrpoConfig,
    "eval": EvalConfig,
}
SHARED: dict[str, type[Settings]] = {
    "simulator": Endpoint,
    "policy": PolicyEndpoint,
    "user_endpoint": UserEndpoint,
    "tool_endpoint": ToolEndpoint,
    "judge_endpoint": JudgeEndpoint,
    "budget": Budget,
    "store": StoreConfig,
}
"""Sections that the kinds of run share."""
