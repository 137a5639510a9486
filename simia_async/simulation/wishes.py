"""What a trajectory to be written should be like: the `<task>` section of the author's prompt."""

import msgspec


class Wishes(msgspec.Struct, frozen=True, omit_defaults=True):
    """Knobs of diversity. What is not set is up to the author."""

    persona: str | None = None
    """What kind of user it is."""
    scenario: str | None = None
    """What it is about."""
    difficulty: str | None = None
    tools: list[str] = []
    """Tools to be called, for those that are seldom."""
    tool_error: bool = False
    """A call fails first, and the agent recovers."""
    refusal: bool = False
    """The policy makes the agent say no."""
    turns: int | None = None
    """About how many messages."""
