"""Settings of the meters that work on recorded conversations."""

from typing import Annotated, Literal

from msgspec import Meta

from simia_async.config.common import Environment, RubricFile, Seed, Votes
from simia_async.config.endpoint import Endpoint
from simia_async.config.fields import Settings
from simia_async.config.limits import Budget, StoreConfig
from simia_async.config.roles import JudgeEndpoint, ToolEndpoint


class FidelityConfig(Settings, frozen=True, kw_only=True):
    """How true the simulator's observations are to recorded ones."""

    environment: Environment = "airline"
    recorded: (
        Annotated[
            str,
            Meta(
                description="File of recorded conversations with real observations.",
                extra={"unset": "the environment's seeds"},
            ),
        ]
        | None
    ) = None
    world: Annotated[
        Literal["transcript", "grounded"],
        Meta(
            description="Whether the simulator has the conversation alone to go by, or is also "
            "told the start state (the environment's, and `state` of the conversation's line) with "
            "what look-ups have told since."
        ),
    ] = "transcript"
    calls: (
        Annotated[
            int,
            Meta(
                description="Calls to ask for, at most: a random sample of those in the file.",
                ge=1,
                extra={"unset": "all"},
            ),
        ]
        | None
    ) = None
    seed: Seed = 0
    simulator: Endpoint = Endpoint()
    tool_endpoint: ToolEndpoint = ToolEndpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()


class AgreementConfig(Settings, frozen=True, kw_only=True):
    """How far the judge agrees with true rewards."""

    environment: Environment = "airline"
    recorded: (
        Annotated[
            str,
            Meta(
                description="File of recorded conversations with their true `reward`.",
                extra={"unset": "the environment's seeds"},
            ),
        ]
        | None
    ) = None
    rubric: RubricFile | None = None
    votes: Votes | None = None
    goal: Annotated[
        bool,
        Meta(description="Show the judge what success is, where the file tells, as in rollouts."),
    ] = True
    threshold: Annotated[
        float, Meta(description="Reward from which a conversation counts as a success.", gt=0, le=1)
    ] = 0.5
    conversations: (
        Annotated[
            int,
            Meta(
                description="Conversations to judge, at most: a random sample of the file.",
                ge=1,
                extra={"unset": "all"},
            ),
        ]
        | None
    ) = None
    seed: Seed = 0
    simulator: Endpoint = Endpoint()
    judge_endpoint: JudgeEndpoint = JudgeEndpoint()
    budget: Budget = Budget()
    store: StoreConfig = StoreConfig()
