"""Settings of training: supervised, and by rollouts."""

from typing import Annotated, Literal

from msgspec import Meta

from simia_async.config.common import (
    TINY,
    Device,
    Dtype,
    GradientCheckpointing,
    Launch,
    LoraRank,
    Model,
    Packing,
    Schedule,
    Seed,
    TokensPerBatch,
    WarmUp,
    WeightDecay,
)
from simia_async.config.conversations import PlayConfig
from simia_async.config.fields import BadSetting, Settings
from simia_async.config.limits import StoreConfig
from simia_async.config.roles import AuditEndpoint


class SftConfig(Settings, frozen=True, kw_only=True):
    """LoRA supervised fine-tuning on a run's kept trajectories."""

    model: Model = TINY
    epochs: Annotated[int, Meta(description="Passes over the data.", ge=1)] = 3
    learning_rate: Annotated[
        float, Meta(description="Peak learning rate.", gt=0, extra={"flag": "--lr"})
    ] = 4e-3
    schedule: Schedule = "linear"
    warm_up: WarmUp = 0.1
    weight_decay: WeightDecay = 0.0
    max_grad_norm: Annotated[
        float, Meta(description="Gradients are scaled down to this norm.", gt=0)
    ] = 1.0
    tokens_per_batch: TokensPerBatch = 2048
    packing: Packing = True
    accumulate: Annotated[int, Meta(description="Batches of an optimizer step.", ge=1)] = 1
    lora_rank: LoraRank = 16
    lora_targets: Annotated[
        tuple[str, ...],
        Meta(
            description="Modules that get an adapter, by the end of their names.",
            extra={"flag": "--lora-target", "unset": "all linear layers"},
        ),
    ] = ()
    eval_share: Annotated[
        float,
        Meta(description="Share of the trajectories that is held out of training.", ge=0, lt=1),
    ] = 0.0
    eval_every: Annotated[
        int, Meta(description="Steps between evaluations on what is held out.", ge=1)
    ] = 20
    patience: (
        Annotated[
            int,
            Meta(
                description="Training ends after this many evaluations without a better loss.",
                ge=1,
                extra={"unset": "it never ends early"},
            ),
        ]
        | None
    ) = None
    checkpoint_every: Annotated[
        int, Meta(description="Steps between checkpoints, to go on from; 0: none.", ge=0)
    ] = 50
    device: Device = "auto"
    dtype: Dtype = "auto"
    gradient_checkpointing: GradientCheckpointing = False
    launch: Launch | None = None
    seed: Seed = 0
    store: StoreConfig = StoreConfig()


class GrpoConfig(PlayConfig, frozen=True, kw_only=True):
    """Simia-RL: GRPO on rollouts in the simulated world."""

    adapter: (
        Annotated[
            str,
            Meta(description="Adapter to start from, such as SFT's.", extra={"unset": "the base"}),
        ]
        | None
    ) = None
    steps: Annotated[int, Meta(description="GRPO steps.", ge=1)] = 12
    groups: Annotated[int, Meta(description="Groups a step, one task each.", ge=1)] = 8
    group_size: Annotated[
        int,
        Meta(description="Rollouts a group; advantages are relative to the group's mean.", ge=2),
    ] = 8
    max_staleness: Annotated[
        int,
        Meta(
            description="Steps by which rollouts may lag behind the policy that learns from them; "
            "0: each step waits for its own, 1: the next are played meanwhile.",
            ge=0,
        ),
    ] = 0
    eval_every: Annotated[
        int, Meta(description="Steps between evaluations on held-out tasks; 0: none.", ge=0)
    ] = 0
    eval_tasks: Annotated[int, Meta(description="Held-out tasks of such an evaluation.", ge=1)] = 42
    stop_on_collapse: Annotated[
        bool,
        Meta(description="End the run when the policy collapses, instead of only saying so."),
    ] = False
    max_env_luck: (
        Annotated[
            float,
            Meta(
                description="Most that the world's luck may be of a task's reward variance; tasks "
                "above it are left out. Measured by replays before the first step.",
                gt=0,
                lt=1,
                extra={"unset": "nothing is measured"},
            ),
        ]
        | None
    ) = None
    luck_tasks: Annotated[
        int, Meta(description="Tasks that luck is measured on, at most.", ge=1)
    ] = 32
    luck_replays: Annotated[
        int, Meta(description="How often each rollout is replayed to measure luck.", ge=2)
    ] = 4
    audit_share: Annotated[
        float,
        Meta(
            description="Share of the rollouts that a hidden judge judges too; never learnt from.",
            ge=0,
            le=1,
        ),
    ] = 0.0
    audit_rubric: (
        Annotated[
            str,
            Meta(
                description="TOML file of the hidden judge's criteria.",
                extra={"unset": "those of the judge"},
            ),
        ]
        | None
    ) = None
    rubric_dropout: Annotated[
        float,
        Meta(
            description="Chance that a group is judged without a criterion; never without all.",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    deterministic: Annotated[
        bool,
        Meta(description="One conversation after the other, so that the run can be repeated."),
    ] = False
    loss: Annotated[
        Literal["grpo", "dr_grpo", "dapo", "rloo"],
        Meta(description="Loss, by its paper: baseline, scale, clip range and mean of the tokens."),
    ] = "dr_grpo"
    normalise_by_std: (
        Annotated[
            bool,
            Meta(
                description="Divide advantages by their group's standard deviation.",
                extra={"unset": "as the loss says: grpo and dapo do"},
            ),
        ]
        | None
    ) = None
    clip_low: (
        Annotated[
            float,
            Meta(
                description="How far below 1 the importance ratio counts.",
                gt=0,
                extra={"unset": "0.2, with rloo however far"},
            ),
        ]
        | None
    ) = None
    clip_high: (
        Annotated[
            float,
            Meta(
                description="How far above 1 the importance ratio counts.",
                gt=0,
                extra={"unset": "0.28, with grpo 0.2, with rloo however far"},
            ),
        ]
        | None
    ) = None
    kl_coefficient: Annotated[
        float,
        Meta(description="Weight of the distance to the policy that the run began with.", ge=0),
    ] = 0.0
    importance_cap: (
        Annotated[
            float,
            Meta(
                description="Most that a token weighs for being likelier to the trainer than to "
                "the engine that sampled it; ratios are then to the trainer's own probabilities.",
                gt=0,
                extra={
                    "unset": "ratios are to the engine's probabilities, and no token is weighed"
                },
            ),
        ]
        | None
    ) = None
    overlong_buffer: Annotated[
        int,
        Meta(
            description="Tokens before the context's limit in which a conversation's reward falls, "
            "by up to 1; 0: it does not.",
            ge=0,
        ),
    ] = 0
    minibatches: Annotated[
        int, Meta(description="Optimizer steps of a GRPO step, a share of the rollouts each.", ge=1)
    ] = 2
    learning_rate: Annotated[
        float, Meta(description="Peak learning rate.", ge=0, extra={"flag": "--lr"})
    ] = 1e-3
    schedule: Schedule = "constant"
    warm_up: WarmUp = 0.0
    weight_decay: WeightDecay = 0.0
    tokens_per_batch: TokensPerBatch = 6000
    packing: Packing = True
    lora_rank: LoraRank = 16
    device: Device = "auto"
    dtype: Dtype = "auto"
    gradient_checkpointing: GradientCheckpointing = False
    launch: Launch | None = None
    audit_endpoint: AuditEndpoint = AuditEndpoint()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_audit()
        if self.policy.temperature == 0:
            raise BadSetting(
                "--policy-temperature",
                "found 0; it must be above 0 in RL: there is nothing to learn from greedy "
                "rollouts, which are all the same",
            )
        if self.overlong_buffer and self.context is None:
            raise BadSetting(
                "overlong_buffer", "also needs --context (`context`): the limit that it is before"
            )

    def _check_audit(self) -> None:
        named = self.audit_endpoint != AuditEndpoint() or self.audit_rubric is not None
        if self.audit_share and not named:
            raise BadSetting(
                "audit_share",
                "also needs --audit-judge-model or --audit-rubric: a hidden judge that differs "
                "from the one that is learnt from",
            )
        if named and not self.audit_share:
            given = "audit_rubric" if self.audit_rubric is not None else "audit_endpoint"
            raise BadSetting(given, "also needs --audit-share: how many rollouts it judges")
