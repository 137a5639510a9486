"""Where the variance of a reward comes from: the policy, the world, or the judge.

A rollout of a task (the policy's doing) is replayed in several worlds (the world's luck), and what
came of each replay is judged several times (the judge's). So rewards are nested three deep, and the
random-effects model of task t, rollout i, replay k, judging j is

    reward[t, i, k, j] = mean[t] + policy[t, i] + world[t, i, k] + judge[t, i, k, j]

with effects of mean 0 that are independent of each other. How tasks differ is no part of it: within
a group of rollouts, which are of one task, that is the same for all.

Components are estimated by the analysis of variance (Searle, Casella, McCulloch: Variance
Components, 1992, ch. 3 and 5): sums of squares within each level, set equal to their expectations.
That needs no normal distribution and takes unequal numbers. Estimates are unbiased, and may
therefore come out below 0 where a component is small: then its variance is shown as 0, `raw` keeps
what came out, and shares are of the sum of what is shown.

Intervals are by the bootstrap over tasks, the unit that is independent: percentiles, expanded for
small samples (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, 4.1.4) at a nominal
99 %. The plain ones of 95 % hold the truth in 90 to 94 % where tasks are few; these hold it in at
least 95 % of repetitions (`tests/soak/test_luck_finds_truth.py`).
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec

from simia_async.evaluation.resampling import RESAMPLES, percentiles

Judgings = Sequence[float]
"""Rewards of one replay."""
Rollout = Sequence[Judgings]
"""Replays of one rollout."""
TaskRewards = Sequence[Rollout]
"""Rollouts of one task. What has no reward is not among them."""

_TAIL = 0.005
"""Left out at each end."""
_NOTHING = 1e-12
"""Rewards that are all the same differ by rounding alone."""
FEWEST_TASKS = 5
"""With fewer whose rewards vary there are no intervals: resamples of few would all look alike."""


class Component(msgspec.Struct, frozen=True):
    """What one source adds to the variance of rewards."""

    raw: float
    """The estimate, which may be below 0."""
    share: float | None
    """Of the variance within tasks, 0 to 1; None where nothing varies, or where the policy's part
    of it cannot be told."""
    low: float | None = None
    """The interval of the share; None where too few tasks vary to tell."""
    high: float | None = None

    @property
    def variance(self) -> float:
        """The estimate as it is shown: not below 0."""
        return max(self.raw, 0.0)


class Variance(msgspec.Struct, frozen=True):
    """The variance of rewards within tasks, by where it comes from."""

    policy: Component | None
    """None where no task has two such rollouts: then nothing can be told of it, nor any share."""
    world: Component
    judge: Component | None
    """None where nothing was judged twice: what the judge adds is then part of `world`."""
    rollouts: int
    """That were replayed at least twice."""
    replays: int
    """Their replays."""


class TooFewReplays(ValueError):
    """No rollout has two replays with a reward, so nothing can be said of the world."""


def split_variance(tasks: Sequence[TaskRewards], seed: int = 0) -> Variance:
    """Components over all `tasks`, whose variances are averaged. `seed` is the bootstrap's.

    Raises `TooFewReplays`.
    """
    sums = [_sums_of(task) for task in tasks]
    sums = [each for each in sums if each.df_world]
    total = _added(sums)
    if not total.df_world:
        raise TooFewReplays
    raw = _components(total)
    varying = sum(each.varies for each in sums)
    intervals = _intervals(sums, seed) if varying >= FEWEST_TASKS else {}
    shares = _shares(raw)
    parts = {
        name: Component(value, shares.get(name), *intervals.get(name, (None, None)))
        for name, value in raw.items()
    }
    return Variance(
        parts.get("policy"),
        parts["world"],
        parts["judge"] if total.df_judge else None,
        int(total.rollouts),
        int(total.rollouts + total.df_world),
    )


class _Sums(msgspec.Struct, frozen=True):
    """Sums of squares, their degrees of freedom, and how often components count in them. They add
    up over tasks.
    """

    ss_judge: float = 0.0
    df_judge: float = 0.0
    ss_world: float = 0.0
    df_world: float = 0.0
    world_in_world: float = 0.0
    ss_policy: float = 0.0
    df_policy: float = 0.0
    world_in_policy: float = 0.0
    policy_in_policy: float = 0.0
    rollouts: float = 0.0

    @property
    def varies(self) -> bool:
        """Whether rewards differ at all; by more than rounding."""
        return self.ss_judge + self.ss_world + self.ss_policy > _NOTHING


def _sums_of(task: TaskRewards) -> _Sums:
    """Of one task; rollouts with fewer than two replays say nothing of the world and are left out.

    With n_ik judgings of a replay, n_i of a rollout and n of the task, the expectations are
    E[ss_judge] = df_judge·e, E[ss_world] = df_world·e + (n − ΣΣ n_ik²/n_i)·w, and
    E[ss_policy] = df_policy·e + ΣΣ n_ik²(1/n_i − 1/n)·w + (n − Σ n_i²/n)·p.
    """
    kept = [[replay for replay in rollout if replay] for rollout in task]
    kept = [rollout for rollout in kept if len(rollout) > 1]
    if not kept:
        return _Sums()
    replays = [replay for rollout in kept for replay in rollout]
    counts = [sum(map(len, rollout)) for rollout in kept]
    n = sum(counts)
    means = [sum(map(sum, rollout)) / count for rollout, count in zip(kept, counts, strict=True)]
    mean = sum(map(sum, replays)) / n
    squares = [
        sum(len(replay) ** 2 for replay in rollout) / count
        for rollout, count in zip(kept, counts, strict=True)
    ]
    return _Sums(
        ss_judge=math.fsum((y - fmean(replay)) ** 2 for replay in replays for y in replay),
        df_judge=n - len(replays),
        ss_world=math.fsum(
            len(replay) * (fmean(replay) - of_rollout) ** 2
            for rollout, of_rollout in zip(kept, means, strict=True)
            for replay in rollout
        ),
        df_world=len(replays) - len(kept),
        world_in_world=n - sum(squares),
        ss_policy=math.fsum(
            count * (of_rollout - mean) ** 2
            for count, of_rollout in zip(counts, means, strict=True)
        ),
        df_policy=len(kept) - 1,
        world_in_policy=sum(squares) - sum(len(replay) ** 2 for replay in replays) / n,
        policy_in_policy=n - sum(count**2 for count in counts) / n,
        rollouts=len(kept),
    )


def _added(sums: Sequence[_Sums]) -> _Sums:
    rows = [msgspec.structs.astuple(each) for each in sums]
    return _Sums(*map(math.fsum, zip(*rows, strict=True))) if rows else _Sums()


def _components(sums: _Sums) -> dict[str, float]:
    """Raw estimates by name; none of the policy where no task has two rollouts."""
    judge = sums.ss_judge / sums.df_judge if sums.df_judge else 0.0
    world = (sums.ss_world - sums.df_world * judge) / sums.world_in_world
    found = {"world": world, "judge": judge}
    if sums.df_policy:
        rest = sums.ss_policy - sums.df_policy * judge - sums.world_in_policy * world
        found["policy"] = rest / sums.policy_in_policy
    return found


def _shares(raw: Mapping[str, float]) -> dict[str, float]:
    """Of the sum of what is above 0; none where nothing is, or where a part of it is not known."""
    if "policy" not in raw:
        return {}
    shown = {name: max(value, 0.0) for name, value in raw.items()}
    total = sum(shown.values())
    return {name: value / total for name, value in shown.items()} if total > _NOTHING else {}


def _intervals(sums: Sequence[_Sums], seed: int) -> dict[str, tuple[float, float]]:
    """Of every share, by name; none where it cannot be told in most resamples."""
    chance = random.Random(f"variance/{seed}")
    drawn = [
        _shares(_components(_added(chance.choices(sums, k=len(sums))))) for _ in range(RESAMPLES)
    ]
    drawn = [each for each in drawn if each]
    if len(drawn) * 2 < RESAMPLES:
        return {}
    return {
        name: percentiles((each[name] for each in drawn), len(sums), _TAIL) for name in drawn[0]
    }
