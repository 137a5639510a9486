"""Means over tasks, and how sure they are: the bootstrap, with the task as its unit.

Trials of one task are alike, so they are never drawn apart: a resample draws tasks, each with all
of its trials (the cluster bootstrap; Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).
"""

from collections.abc import Sequence
from statistics import fmean

import msgspec

from simia_async.evaluation.resampling import ENOUGH, draws, percentiles, with_unseen


class Estimate(msgspec.Struct, frozen=True):
    """A mean over tasks with its 95% interval."""

    value: float
    low: float
    high: float
    tasks: int


def estimate(values: Sequence[float], least: float = 0.0, most: float = 1.0) -> Estimate | None:
    """The mean of one value a task, each from `least` to `most`; None of no task.

    The interval is the percentile bootstrap's, expanded for few tasks (`resampling.percentiles`),
    the same whenever it is asked for. Where all tasks have one value no resample differs, which
    would look as if the mean were known, and of fewer than `ENOUGH` all may lie on one side of it:
    there the interval allows for the largest share of other tasks that would not be seen among so
    many in 2.5% of all samples, `1 - 0.025^(1/n)`, each as far away as may be (for 0 of n and n of
    n that is the interval of Clopper and Pearson, 1934).
    """
    if not values:
        return None
    n, mean = len(values), fmean(values)
    low = high = mean
    if min(values) < max(values):
        low, high = percentiles((sum(draw(values)) / n for draw in draws(n)), n)
        low, high = min(mean, low), max(mean, high)
    if n < ENOUGH or low == high:
        low, high = with_unseen(low, high, n, least, most)
    return Estimate(mean, max(least, low), min(most, high), n)
