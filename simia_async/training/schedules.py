"""Learning rates over the steps of a run."""

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]

_FLOOR = 0.1
"""Share of the peak that `linear` and `cosine` end at."""


def rate_share(schedule: Schedule, step: int, steps: int, warm_up: float) -> float:
    """Share of the peak learning rate at `step`, counted from 1, of `steps`.

    `warm_up` is the share of the steps in which the rate rises; it rises in one step at least.
    """
    rising = min(1.0, step / max(1, math.ceil(warm_up * steps)))
    done = step / steps
    match schedule:
        case "linear":
            falling = 1 - done
        case "cosine":
            falling = (1 + math.cos(math.pi * done)) / 2
        case "constant":
            return rising
    return rising * (_FLOOR + (1 - _FLOOR) * falling)
