"""pass^k: how likely a policy solves a task k times out of k."""

from collections.abc import Sequence
from math import comb

import msgspec

from simia_async.evaluation.bootstrap import Estimate, estimate
from simia_async.evaluation.trials import TaskTrials


class PassK(msgspec.Struct, frozen=True):
    """pass^k with 95% intervals over tasks; None where there is no such task."""

    k: int
    needs_action: Estimate | None
    """Of the tasks in which doing nothing is wrong."""
    no_action: Estimate | None
    """Of those in which doing nothing to the state is right."""
    all: Estimate | None
    """Of all tasks, as tau-bench counts."""


def pass_hat_k(trials: int, solved: int, k: int) -> float:
    """The unbiased estimate of pass^k for one task that `solved` of `trials` trials have solved:
    C(solved, k) / C(trials, k), the share of the k-subsets of its trials in which all did.

    As tau-bench defines it (arXiv 2406.12045, section 3). Raises `ValueError` for a `k` below 1 or
    above `trials`.
    """
    if not 1 <= k <= trials:
        raise ValueError(f"k: found {k}; it must be from 1 to the {trials} trials")
    return comb(solved, k) / comb(trials, k)


def passes(tasks: Sequence[TaskTrials], most: int) -> list[PassK]:
    """pass^1 to pass^`most` over tasks that were each tried at least that often."""
    return [_pass_k(tasks, k) for k in range(1, most + 1)]


def _pass_k(tasks: Sequence[TaskTrials], k: int) -> PassK:
    values: dict[bool, list[float]] = {True: [], False: []}
    for task in tasks:
        values[task.needs_action].append(pass_hat_k(len(task.solved), task.hits, k))
    return PassK(
        k, estimate(values[True]), estimate(values[False]), estimate(values[True] + values[False])
    )
