"""What every bootstrap interval here is made with: the resamples, and how far out its ends lie."""

import math
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from statistics import NormalDist
from typing import Any

RESAMPLES = 2000
TAIL = 0.025
"""Share that lies beyond each end of a 95% interval."""

Draw = Callable[[Sequence[Any]], tuple[Any, ...]]
"""Takes the items of one resample."""


@lru_cache(maxsize=32)
def draws(n: int) -> list[Draw]:
    """Resamples of `n` clusters, at least two; the same whenever they are asked for."""
    rng = random.Random(n)
    drawn = (rng.choices(range(n), k=n) for _ in range(RESAMPLES))
    return [itemgetter(first, second, *rest) for first, second, *rest in drawn]


def unseen(n: int) -> float:
    """The largest share of other clusters that would not be seen among `n` in 2.5% of all samples
    (for 0 of n and n of n it gives the interval of Clopper and Pearson, 1934).
    """
    return 1.0 - math.pow(TAIL, 1 / n)


def expanded_tail(n: int, tail: float = TAIL) -> float:
    """The tail to cut off for `tail`, of `n` clusters: further out, as Student's t is wider than
    the normal distribution (T. Hesterberg, What Teachers Should Know About the Bootstrap, 2015,
    section 5.3).
    """
    scaled = _t_quantile(1 - tail, n - 1) * math.sqrt(n / (n - 1))
    return NormalDist().cdf(-scaled)


def _t_quantile(probability: float, freedom: int) -> float:
    """Student's t, by its expansion about the normal distribution (Abramowitz and Stegun, Handbook
    of Mathematical Functions, 26.7.5).
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))
