"""Samples that are not trained on, and what they say of the training."""

import hashlib
from collections.abc import Sequence

import msgspec

from simia_async.errors import UsageError
from simia_async.training.samples import SftSample


def hold_out(
    samples: Sequence[SftSample], share: float, seed: int
) -> tuple[list[SftSample], list[SftSample]]:
    """The samples to train on and those held out, both in their order.

    `share` of the trajectories, at least one unless it is 0, are held out: those of the lowest
    hashes of `seed` and id. Raises `UsageError` if none would be left to train on.
    """
    if share == 0:
        return list(samples), []
    lots = {_trajectory(sample): _lot(seed, *_trajectory(sample)) for sample in samples}
    count = max(1, round(share * len(lots)))
    if count >= len(lots):
        raise UsageError(
            f"--eval-share: {share:g} of {len(lots)} trajectories leaves none to train on; "
            "lower it, or give more data"
        )
    out = set(sorted(lots, key=lots.__getitem__)[:count])
    return (
        [sample for sample in samples if _trajectory(sample) not in out],
        [sample for sample in samples if _trajectory(sample) in out],
    )


class Evaluations(msgspec.Struct):
    """Losses on what was held out, as far as a training has come. None before the first."""

    first: float | None = None
    last: float | None = None
    best: float | None = None
    best_step: int | None = None
    without_gain: int = 0
    """How many came since the best."""

    def add(self, step: int, loss: float) -> bool:
        """Take one more down; whether it is the best."""
        self.first = loss if self.first is None else self.first
        self.last = loss
        if self.best is not None and loss >= self.best:
            self.without_gain += 1
            return False
        self.best, self.best_step, self.without_gain = loss, step, 0
        return True


def _trajectory(sample: SftSample) -> tuple[int, int]:
    return sample.source, sample.trajectory_id


def _lot(seed: int, source: int, trajectory_id: int) -> bytes:
    of_source = f"{source}/" if source else ""
    return hashlib.sha256(f"{seed}/{of_source}{trajectory_id}".encode()).digest()
