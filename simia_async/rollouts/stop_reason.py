"""Why a conversation ended."""

from enum import StrEnum


class StopReason(StrEnum):
    """One member a cause."""

    USER_DONE = "user_done"
    """The user had nothing more to ask."""
    AGENT_DONE = "agent_done"
    """The agent called a tool that ends the conversation."""
    MAX_TURNS = "max_turns"
    """The policy spoke as often as it may."""
    CONTEXT_FULL = "context_full"
    """The next turn would not fit the policy's context, or the policy did not end its turn."""
    BUDGET = "budget"
    """The run's budget is used up, its foresight notwithstanding. Goes on with a larger one."""
    POLICY_ERROR = "policy_error"
    """The policy's endpoint failed."""
    SIMULATOR_ERROR = "simulator_error"
    """The user or the tools could not be simulated."""
    JUDGE_ERROR = "judge_error"
    """The conversation ended well, but the judge failed: no reward, never 0."""
    CANCELLED = "cancelled"
    """Somebody asked for its end."""


FINISHED = frozenset({StopReason.USER_DONE, StopReason.AGENT_DONE})
"""Conversations that came to an end of their own."""

UNJUDGED = frozenset(
    {
        StopReason.BUDGET,
        StopReason.POLICY_ERROR,
        StopReason.SIMULATOR_ERROR,
        StopReason.CANCELLED,
    }
)
"""Conversations that ended so tell nothing of the policy: they are not judged."""

UNFINISHED = frozenset(
    {
        StopReason.BUDGET,
        StopReason.POLICY_ERROR,
        StopReason.SIMULATOR_ERROR,
        StopReason.JUDGE_ERROR,
    }
)
"""Conversations that ended so go on when their run does: what stopped them may be over."""
