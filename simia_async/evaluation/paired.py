"""Two policies compared over the same tasks, task by task."""

from collections.abc import Sequence
from math import comb

import msgspec

from simia_async.evaluation.bootstrap import Estimate, estimate
from simia_async.evaluation.pass_k import pass_hat_k
from simia_async.evaluation.trials import TaskTrials

_SAME = 1e-9
"""Shares that lie no further apart are the same."""


class Difference(msgspec.Struct, frozen=True):
    """By how much pass^k of one policy is above that of the other."""

    k: int
    of: Estimate
    """Mean over tasks, from -1 to 1, with its 95% interval."""


class Paired(msgspec.Struct, frozen=True):
    """One policy against another over some tasks."""

    wins: int
    """Tasks that it solved in a larger share of its trials."""
    ties: int
    losses: int
    p_value: float
    """Of the exact two-sided sign test on wins and losses."""
    differences: list[Difference]
    """pass^1 first."""


class Comparison(msgspec.Struct, frozen=True):
    """One policy against another at one temperature. None where there is no such task."""

    policy: str
    against: str
    baseline: str | None
    """The run that the other played in; None: the same run."""
    temperature: float | None
    """None where it is not told."""
    needs_action: Paired | None
    no_action: Paired | None
    all: Paired | None


def paired(
    ours: Sequence[TaskTrials], theirs: Sequence[TaskTrials], most: int
) -> tuple[Paired | None, Paired | None, Paired | None]:
    """Tasks that need an action, those that do not, and all; up to pass^`most`.

    Both must hold the same tasks; they may have tried them differently often.
    """
    other = {task.task_id: task for task in theirs}
    pairs = [(task, other[task.task_id]) for task in ours]
    needs = [pair for pair in pairs if pair[0].needs_action]
    rest = [pair for pair in pairs if not pair[0].needs_action]
    return _paired(needs, most), _paired(rest, most), _paired(pairs, most)


def sign_test(wins: int, losses: int) -> float:
    """p-value of the exact two-sided sign test: how likely a fair coin lands at least so unevenly.

    Ties do not count. With one trial a task it is the exact test of McNemar (1947). 1 where there
    is neither a win nor a loss.
    """
    n, fewer = wins + losses, min(wins, losses)
    tail = sum(comb(n, heads) for heads in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**n))


def _paired(pairs: Sequence[tuple[TaskTrials, TaskTrials]], most: int) -> Paired | None:
    if not pairs:
        return None
    gaps = [ours.rate - theirs.rate for ours, theirs in pairs]
    wins = sum(gap > _SAME for gap in gaps)
    losses = sum(gap < -_SAME for gap in gaps)
    differences = []
    for k in range(1, most + 1):
        values = [_pass(ours, k) - _pass(theirs, k) for ours, theirs in pairs]
        if mean := estimate(values, least=-1.0):
            differences.append(Difference(k, mean))
    ties = len(pairs) - wins - losses
    return Paired(wins, ties, losses, sign_test(wins, losses), differences)


def _pass(task: TaskTrials, k: int) -> float:
    return pass_hat_k(len(task.solved), task.hits, k)
