"""Settings of what works from seeds: amplifying them, and making tasks of them."""

from typing import Annotated, Literal

from msgspec import Meta

from simia_async.config.common import Environment, Ray, Seed, Workers
from simia_async.config.endpoint import Endpoint
from simia_async.config.fields import Settings
from simia_async.config.limits import Budget, StoreConfig

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
    workers: Workers = 0
    ray: Ray | None = None


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
