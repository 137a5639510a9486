"""Advantages: how much better each rollout did than its group."""

import math
from collections.abc import Sequence

_SAME = 1e-9
"""Rewards that lie no further apart are the same: sums of weights differ in their last digits."""


def group_advantages(
    rewards: Sequence[float | None], *, leave_one_out: bool = False, by_std: bool = False
) -> list[float | None] | None:
    """The rewards of a group minus their mean; None for each that is None.

    With `leave_one_out` each is compared with the mean of the others (RLOO, arXiv 2402.14740): for
    n rewards n/(n-1) times as much. With `by_std` all are divided by the group's standard deviation
    (GRPO, arXiv 2402.03300), that of the n rewards themselves and not an estimate, so that none is
    above the root of n-1. If all rewards are the same the group teaches nothing: None.
    """
    known = [reward for reward in rewards if reward is not None]
    if not known or max(known) - min(known) <= _SAME:
        return None
    # Sums that do not depend on the order of the rollouts.
    count = len(known)
    mean = math.fsum(known) / count
    scale = count / (count - 1) if leave_one_out else 1.0
    if by_std:
        scale /= math.sqrt(math.fsum((reward - mean) ** 2 for reward in known) / count)
    return [None if reward is None else scale * (reward - mean) for reward in rewards]


def overlong_penalty(tokens: int, limit: int, buffer: int) -> float:
    """What a conversation's length takes off its reward (DAPO, arXiv 2503.14476, equation 13).

    0 up to `buffer` tokens before `limit`, from there down to -1 at the limit and beyond. Without a
    buffer it is 0.
    """
    if not buffer:
        return 0.0
    return -min(1.0, max(0.0, (tokens - (limit - buffer)) / buffer))
