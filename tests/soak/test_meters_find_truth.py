"""Meters find what was planted: in at least 95 of 100 repetitions the printed intervals hold the
truth.

All 621 calls of the 100 real conversations, and all their rewards; each repetition draws other
calls to be answered wrongly, other verdicts to be flipped.
"""

from collections import Counter
from pathlib import Path

import pytest

from simia_async.meters.agreement import agree
from simia_async.meters.fidelity import summarize
from tests.planted_meters import PlantedJudge, PlantedSimulator, holds

pytestmark = pytest.mark.soak

REPETITIONS = 100

FIGURES = {
    "exact": "exact",
    "error_agreement": "error_agrees",
    "consistent": "consistent",
    "keys_f1": "keys_f1",
    "leaves_f1": "leaves_f1",
}
"""Figures, with what they are figures of."""


@pytest.mark.parametrize("wrong", [0.0, 0.05, 0.2, 0.5])
def test_wrong_observations_are_found(airline_seeds: Path, wrong: float) -> None:
    planted = PlantedSimulator(airline_seeds, wrong)
    held: Counter[str] = Counter()
    for seed in range(REPETITIONS):
        found = summarize(planted.drawn(seed))
        for figure, measure in FIGURES.items():
            held[figure] += holds(getattr(found, figure), planted.expected(measure))
    print(wrong, dict(held))
    assert min(held[figure] for figure in FIGURES) >= 0.95 * REPETITIONS, held


@pytest.mark.parametrize("flips", [0.0, 0.1, 0.3])
def test_flipped_judgements_are_found(airline_seeds: Path, flips: float) -> None:
    planted = PlantedJudge(airline_seeds, flips)
    held: Counter[str] = Counter()
    for seed in range(REPETITIONS):
        found = agree(planted.pairs(seed))
        for figure, truth in planted.expected.items():
            held[figure] += holds(getattr(found, figure), truth)
    print(flips, dict(held))
    assert min(held[figure] for figure in planted.expected) >= 0.95 * REPETITIONS, held
