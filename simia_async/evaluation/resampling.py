"""What every bootstrap interval here is made with: the resamples, and how far out its ends lie."""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from statistics import NormalDist
from typing import Any

RESAMPLES = 2000
TAIL = 0.025
"""Share that lies beyond each end of a 95% interval."""

ENOUGH = 6
"""Clusters from which on resamples tell enough. They reach no further than the clusters do, and of
five all lie on one side of the truth in 1 of 16 cases, of three in 1 of 4."""

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


def with_unseen(
    low: float, high: float, n: int, least: float = 0.0, most: float = 1.0
) -> tuple[float, float]:
    """An interval of `n` clusters that allows for others that were not seen among them, each as far
    away as may be: their values are from `least` to `most`.
    """
    other = unseen(n)
    return low - other * (low - least), high + other * (most - high)


def percentiles(
    resampled: Iterable[float], clusters: int, tail: float = TAIL
) -> tuple[float, float]:
    """The interval of what was reckoned of each resample of so many clusters: nominally `tail` of
    them lie beyond each of its ends.
    """
    told = sorted(resampled)
    left_out = int(_expanded_tail(clusters, tail) * len(told))
    return told[left_out], told[-1 - left_out]


def _expanded_tail(n: int, tail: float) -> float:
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
