"""How far a judge agrees with true rewards.

From a threshold on a reward counts as success. Accuracy and its parts are shares with the interval
of `figures.share`; what is no share has a bootstrap interval whose unit is the task, since trials
of one task are alike.

kappa   agreement beyond chance (J. Cohen, A coefficient of agreement for nominal scales, 1960)
brier   mean squared distance of the judge's reward from the true one (G. W. Brier, 1950)
ece     expected calibration error: rewards in ten bins of equal width, the distance of the mean
        true reward from the judge's mean in each, weighted (C. Guo et al., On Calibration of Modern
        Neural Networks, 2017)
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

import msgspec

from simia_async.evaluation.resampling import ENOUGH, draws, percentiles
from simia_async.meters.figures import Figure, mean, share

_BINS = 10


class Pair(msgspec.Struct, frozen=True):
    """A conversation with both rewards, each from 0 to 1."""

    task: str
    kind: str
    """How it failed, or that it did not."""
    true: float
    judged: float


class Bin(msgspec.Struct, frozen=True):
    """Conversations whose judged reward is in one range."""

    low: float
    high: float
    n: int
    judged: float
    true: float
    """Means of both."""


class Agreement(msgspec.Struct, frozen=True):
    """What a judge's rewards are worth. `None` where nothing was judged, or nothing differs."""

    conversations: int
    accuracy: Figure
    majority: Figure
    """What always the more frequent true verdict would get: the baseline of accuracy."""
    kappa: Figure
    """From -1 to 1; 0 is chance. None where only one verdict is ever given."""
    successes_found: Figure
    """Of the true successes, those that the judge calls so (sensitivity)."""
    failures_found: Figure
    """Of the true failures, those that the judge calls so (specificity)."""
    confusion: dict[str, int]
    """By the true verdict, then the judge's: `success, failure` is a success called a failure."""
    bias: Figure
    """The judge's mean reward less the true one: above 0 it is too kind."""
    brier: Figure
    ece: Figure
    bins: list[Bin]
    by_kind: dict[str, Figure]
    """Accuracy by kind of failure."""


def agree(pairs: Sequence[Pair], threshold: float = 0.5) -> Agreement:
    """All figures of the pairs."""
    verdicts = [(each.true >= threshold, each.judged >= threshold) for each in pairs]
    right = [true == judged for true, judged in verdicts]
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for pair, is_right in zip(pairs, right, strict=True):
        by_kind[pair.kind].append(is_right)
    successes = [true for true, _ in verdicts]
    majority = 2 * sum(successes) >= len(successes)
    return Agreement(
        conversations=len(pairs),
        accuracy=share(right),
        majority=share(true == majority for true in successes),
        kappa=_resampled(pairs, lambda drawn: kappa(drawn, threshold), -1.0),
        successes_found=share(judged for true, judged in verdicts if true),
        failures_found=share(not judged for true, judged in verdicts if not true),
        confusion={
            f"{_word(true)}, {_word(judged)}": verdicts.count((true, judged))
            for true in (True, False)
            for judged in (True, False)
        },
        bias=_resampled(pairs, bias, -1.0),
        brier=mean((each.task, (each.judged - each.true) ** 2) for each in pairs),
        ece=_resampled(pairs, ece, 0.0),
        bins=bins(pairs),
        by_kind={kind: share(by_kind[kind]) for kind in sorted(by_kind)},
    )


def kappa(pairs: Sequence[Pair], threshold: float) -> float | None:
    """Cohen's kappa; None where both verdicts are always the same one."""
    n = len(pairs)
    if not n:
        return None
    true = sum(each.true >= threshold for each in pairs) / n
    judged = sum(each.judged >= threshold for each in pairs) / n
    same = sum((each.true >= threshold) == (each.judged >= threshold) for each in pairs) / n
    by_chance = true * judged + (1 - true) * (1 - judged)
    return None if by_chance >= 1 else (same - by_chance) / (1 - by_chance)


def bias(pairs: Sequence[Pair]) -> float | None:
    """The judge's mean reward less the true one."""
    return fmean(each.judged - each.true for each in pairs) if pairs else None


def ece(pairs: Sequence[Pair]) -> float | None:
    """Expected calibration error."""
    if not pairs:
        return None
    return sum(each.n * abs(each.judged - each.true) for each in bins(pairs)) / len(pairs)


def bins(pairs: Sequence[Pair]) -> list[Bin]:
    """The bins that hold something, from the lowest."""
    held: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        held[min(_BINS - 1, int(pair.judged * _BINS))].append(pair)
    return [
        Bin(
            number / _BINS,
            (number + 1) / _BINS,
            len(held[number]),
            fmean(each.judged for each in held[number]),
            fmean(each.true for each in held[number]),
        )
        for number in sorted(held)
    ]


def _resampled(
    pairs: Sequence[Pair], reckon: Callable[[Sequence[Pair]], float | None], least: float
) -> Figure:
    """A figure with its bootstrap interval over tasks; none where tasks are fewer than `ENOUGH`,
    half of the resamples tell it not, or all tell the same.
    """
    value = reckon(pairs)
    clusters: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        clusters[pair.task].append(pair)
    if value is None or len(clusters) < ENOUGH:
        return Figure(value, len(pairs) if value is not None else 0)
    numbers, groups = range(len(clusters)), list(clusters.values())
    told = []
    for draw in draws(len(clusters)):
        found = reckon([pair for number in draw(numbers) for pair in groups[number]])
        if found is not None:
            told.append(found)
    if 2 * len(told) < len(draws(len(clusters))) or max(told) - min(told) < 1e-12:
        return Figure(value, len(pairs))
    low, high = percentiles(told, len(clusters))
    return Figure(value, len(pairs), max(least, min(low, value)), min(1.0, max(high, value)))


def _word(success: bool) -> str:
    return "success" if success else "failure"
