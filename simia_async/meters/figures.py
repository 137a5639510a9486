"""Shares and means over recorded conversations, with intervals that hold the truth in 95% of them.

Shares have Wilson's score interval with continuity correction (R. G. Newcombe, Two-sided confidence
intervals for the single proportion, Statistics in Medicine 17, 1998, method 4). Without the
correction it holds the truth in 94% of samples or less, at some shares; with it in 95% or more. It
takes calls for independent of each other.

Means have a bootstrap interval whose unit is the conversation, since calls of one are alike (the
cluster bootstrap; Davison and Hinkley, Bootstrap Methods, 1997, section 3.8). The percentiles are
moved outwards as Student's t is wider than the normal distribution (T. Hesterberg, What Teachers
Should Know About the Bootstrap, 2015, section 5.3), without which few conversations give too narrow
an interval.
"""

import math
from collections.abc import Hashable, Iterable
from statistics import NormalDist

import msgspec

from simia_async.evaluation.resampling import ENOUGH, draws, percentiles, with_unseen

_Z = NormalDist().inv_cdf(0.975)
_TAIL_OF_MEANS = 0.005
"""Nominally 99%: means of values that are mostly 1 are skewed, and so a bootstrap of 95% holds the
truth in 93%, this one in 98%."""


class Figure(msgspec.Struct, frozen=True):
    """One measured share or mean. None: nothing to be measured, or no interval to be told."""

    value: float | None
    n: int
    """What it was measured on: calls, or conversations."""
    low: float | None = None
    high: float | None = None


def share(flags: Iterable[bool | None]) -> Figure:
    """The share of those that hold, among those that are not None."""
    told = [flag for flag in flags if flag is not None]
    return share_of(sum(told), len(told))


def share_of(hits: int, total: int) -> Figure:
    """The share of `hits` among `total`."""
    if not total:
        return Figure(None, 0)
    n, p, z2 = total, hits / total, _Z * _Z
    low, high = 0.0, 1.0
    if hits:
        root = math.sqrt(max(0.0, z2 - 2 - 1 / n + 4 * p * (n * (1 - p) + 1)))
        low = max(0.0, (2 * n * p + z2 - 1 - _Z * root) / (2 * (n + z2)))
    if hits < total:
        root = math.sqrt(max(0.0, z2 + 2 - 1 / n + 4 * p * (n * (1 - p) - 1)))
        high = min(1.0, (2 * n * p + z2 + 1 + _Z * root) / (2 * (n + z2)))
    return Figure(p, n, low, high)


def mean(values: Iterable[tuple[Hashable, float | None]]) -> Figure:
    """The mean of values from 0 to 1, each with the cluster that it belongs to; None is left out.

    Where all values are alike no resample differs, which would look as if the mean were known, and
    fewer clusters than `ENOUGH` may all lie on one side of it: then the interval allows for the
    largest share of other clusters that would not be seen among so many in 2.5% of all samples,
    each as far away as may be. One cluster has no interval.
    """
    sums: dict[Hashable, float] = {}
    counts: dict[Hashable, int] = {}
    for cluster, value in values:
        if value is not None:
            sums[cluster] = sums.get(cluster, 0.0) + value
            counts[cluster] = counts.get(cluster, 0) + 1
    total = sum(counts.values())
    if not total:
        return Figure(None, 0)
    value = sum(sums.values()) / total
    if len(sums) < 2:
        return Figure(value, total)
    means = [sums[cluster] / counts[cluster] for cluster in sums]
    if max(means) - min(means) < 1e-12:
        return Figure(value, total, *with_unseen(value, value, len(sums)))
    of_sums, of_counts = list(sums.values()), [float(each) for each in counts.values()]
    drawn = (sum(draw(of_sums)) / sum(draw(of_counts)) for draw in draws(len(sums)))
    low, high = percentiles(drawn, len(sums), _TAIL_OF_MEANS)
    low, high = min(value, max(0.0, low)), max(value, min(1.0, high))
    if len(sums) < ENOUGH:
        low, high = with_unseen(low, high, len(sums))
    return Figure(value, total, low, high)
