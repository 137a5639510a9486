"""The meter of luck finds what was planted: in at least 95 % of repetitions its intervals hold the
truth.
"""

import pytest

from tests.planted_luck import Planted, misses

pytestmark = pytest.mark.soak

_SHAPES = {
    "many tasks": (100, (32, 4, 8, 2)),
    "few replays": (100, (32, 4, 4, 2)),
    "few tasks": (200, (12, 4, 8, 2)),
}
"""Repetitions, of so many tasks, rollouts, replays and judgings."""


@pytest.mark.parametrize("flips", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("luck", [0.05, 0.2, 0.5])
@pytest.mark.parametrize(("repetitions", "shape"), _SHAPES.values(), ids=_SHAPES)
def test_intervals_hold_the_truth(
    luck: float, flips: float, repetitions: int, shape: tuple[int, int, int, int]
) -> None:
    missed = misses(Planted(luck, flips), repetitions, shape)
    assert max(missed.values()) <= 0.05 * repetitions, missed
