"""pass^k, its intervals, and pairs: hand-computed cases, and what holds for all of them."""

import random
from collections.abc import Sequence
from itertools import combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.evaluation.bootstrap import estimate
from simia_async.evaluation.paired import paired, sign_test
from simia_async.evaluation.pass_k import pass_hat_k, passes
from simia_async.evaluation.shares import score_trials
from simia_async.evaluation.trials import TaskTrials
from simia_async.meters.figures import mean

trials = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=12)
)


def tasks_of(solved: Sequence[Sequence[bool]]) -> list[TaskTrials]:
    return [TaskTrials(str(at), at % 2 == 0, tuple(each)) for at, each in enumerate(solved)]


def test_hand_computed_cases() -> None:
    assert pass_hat_k(4, 4, 4) == 1
    assert pass_hat_k(4, 3, 1) == 0.75
    assert pass_hat_k(4, 3, 2) == 0.5
    assert pass_hat_k(4, 3, 3) == 0.25
    assert pass_hat_k(4, 3, 4) == 0
    assert pass_hat_k(8, 6, 4) == pytest.approx(15 / 70)
    for k in (0, 5):
        with pytest.raises(ValueError, match="from 1 to the 4 trials"):
            pass_hat_k(4, 2, k)


def test_tasks_are_averaged_and_told_apart() -> None:
    solved = [[True, True, False], [True, True, True], [False, False, False]]
    first, second, third = passes(tasks_of(solved), 3)
    assert first.all.value == pytest.approx(5 / 9)
    assert second.needs_action.value == pytest.approx((1 / 3 + 0) / 2)
    assert second.no_action.value == 1
    assert third.all.value == pytest.approx(1 / 3)
    assert (first.needs_action.tasks, first.no_action.tasks, first.all.tasks) == (2, 1, 3)
    assert passes([], 1)[0].all is None


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_it_is_the_share_of_subsets_that_are_all_solved(solved: list[bool]) -> None:
    values = []
    for k in range(1, len(solved) + 1):
        subsets = list(combinations(solved, k))
        values.append(pass_hat_k(len(solved), sum(solved), k))
        assert values[-1] == pytest.approx(sum(map(all, subsets)) / len(subsets))
    assert values == sorted(values, reverse=True)


@settings(deadline=None, max_examples=60)
@given(trials)
def test_intervals_hold_the_value_and_stay_inside_0_and_1(solved: list[list[bool]]) -> None:
    scored = score_trials("p", 1.0, tasks_of(solved), len(solved[0]))
    values = []
    for each in scored.passes:
        for figure in (each.needs_action, each.no_action, each.all):
            if figure is not None:
                assert 0 <= figure.low <= figure.value <= figure.high <= 1
                assert figure.low < figure.high, "nothing is known for sure"
        values.append(each.all.value)
    assert values == sorted(values, reverse=True)
    total = scored.needs_action.total + scored.no_action.total
    assert total == len(solved) * len(solved[0])
    assert values[0] == pytest.approx((scored.needs_action.hits + scored.no_action.hits) / total)


def test_the_interval_of_all_or_none_is_the_exact_one() -> None:
    figure = estimate([1.0] * 10)
    assert (figure.low, figure.high) == (pytest.approx(0.025**0.1), 1)
    assert estimate([0.0] * 10).high == pytest.approx(1 - 0.025**0.1)


def test_the_same_figures_have_the_same_interval() -> None:
    values = [0.0, 0.5, 1.0, 0.25, 1.0]
    assert estimate(values) == estimate(list(values))


@given(st.integers(0, 12), st.integers(0, 12))
def test_the_sign_test_counts_every_way_the_coins_may_fall(wins: int, losses: int) -> None:
    n = wins + losses
    uneven = abs(wins - losses)
    ways = sum(comb(n, heads) for heads in range(n + 1) if abs(2 * heads - n) >= uneven)
    assert sign_test(wins, losses) == pytest.approx(ways / 2**n)


def test_a_hand_computed_pair() -> None:
    ours = tasks_of([[True], [True], [True], [False], [True]])
    theirs = tasks_of([[False], [True], [False], [False], [False]])
    needs, rest, whole = paired(ours, list(reversed(theirs)), 1)
    assert (needs.wins, needs.ties, needs.losses) == (3, 0, 0)
    assert (rest.wins, rest.ties, rest.losses) == (0, 2, 0)
    assert (whole.wins, whole.ties, whole.losses) == (3, 2, 0)
    assert whole.p_value == pytest.approx(2 / 8)
    assert whole.differences[0].of.value == pytest.approx(3 / 5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_a_pair_turned_round_is_the_negative(n: int, m: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))

    def drawn(size: int) -> list[TaskTrials]:
        one = st.lists(st.booleans(), min_size=size, max_size=size)
        return tasks_of(data.draw(st.lists(one, min_size=count, max_size=count)))

    ours, theirs = drawn(n), drawn(m)
    there, back = paired(ours, theirs, min(n, m)), paired(theirs, ours, min(n, m))
    for one, other in zip(there, back, strict=True):
        if one is None:
            assert other is None
            continue
        assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
        assert one.p_value == other.p_value
        for a, b in zip(one.differences, other.differences, strict=True):
            assert -1 <= a.of.low <= a.of.value <= a.of.high <= 1
            assert a.of.value == pytest.approx(-b.of.value)


@pytest.mark.parametrize(("n", "worst"), [(8, 0.97), (12, 0.9), (20, 0.92)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(n: int, worst: float) -> None:
    """Every outcome of few tasks with its probability: exact, no chance involved."""
    figures = [estimate([1.0] * hits + [0.0] * (n - hits)) for hits in range(n + 1)]
    shares = [truth / 10 for truth in range(1, 10)]
    covered = []
    for truth in shares:
        chances = [comb(n, hits) * truth**hits * (1 - truth) ** (n - hits) for hits in range(n + 1)]
        holds = [each.low <= truth <= each.high for each in figures]
        covered.append(sum(chance for chance, held in zip(chances, holds, strict=True) if held))
    assert min(covered) > worst
    assert sum(covered) / len(shares) > 0.95, "on average over shares"


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_very_few_tasks_are_not_taken_for_all_that_there_are(n: int) -> None:
    """Resamples reach no further than the tasks: of three, all lie on one side in 1 of 4 cases."""
    chance = random.Random(n)
    drawn = [[chance.random() for _ in range(n)] for _ in range(300)]
    for interval in (estimate, lambda values: mean(enumerate(values))):
        held = sum(each.low <= 0.5 <= each.high for each in map(interval, drawn))
        assert held >= 0.93 * len(drawn)


def test_trials_of_one_task_are_not_taken_for_independent() -> None:
    """Eight trials that all go the way of the first are worth no more than one."""
    firsts = [True, False, True, True, False, True]
    once = passes(tasks_of([[each] for each in firsts]), 1)[0].all
    often = passes(tasks_of([[each] * 8 for each in firsts]), 1)[0].all
    assert once == often
