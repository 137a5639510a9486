"""Settings of the meter of luck."""

from typing import Annotated, Literal

from msgspec import Meta

from simia_async.config.conversations import PlayConfig


class LuckConfig(PlayConfig, frozen=True, kw_only=True):
    """How much of the reward is the world's luck: rollouts are replayed, action for action."""

    replays: Annotated[
        int, Meta(description="How often each rollout is replayed, each time in a new world.", ge=2)
    ] = 8
    judgings: Annotated[
        int,
        Meta(
            description="How often each replay is judged; 1 cannot tell the judge from the world.",
            ge=1,
        ),
    ] = 2
    tasks: Annotated[int, Meta(description="Tasks whose rollouts are replayed, at most.", ge=1)] = (
        32
    )
    group_size: Annotated[
        int, Meta(description="Rollouts of a task that are replayed, at most.", ge=1)
    ] = 4
    split: Annotated[
        Literal["train", "heldout"],
        Meta(description="Which tasks to play, where no rollouts are named."),
    ] = "train"
    adapter: (
        Annotated[
            str,
            Meta(
                description="Adapter of the policy that plays, where no rollouts are named.",
                extra={"unset": "the base"},
            ),
        ]
        | None
    ) = None
