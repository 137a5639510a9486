"""Variance of rewards split into policy, world and judge."""

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simia_async.evaluation.variance import TaskRewards, TooFewReplays, split_variance
from tests.planted_luck import Planted, misses

ACTION = [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]]]
"""Two rollouts, two replays each, judged twice."""

REWARD = st.sampled_from([0.0, 0.25, 0.5, 1.0])
TASK = st.lists(
    st.lists(st.lists(REWARD, min_size=1, max_size=3), min_size=2, max_size=4),
    min_size=1,
    max_size=4,
)


def test_components_are_those_of_a_computation_by_hand() -> None:
    # Judge: squares within replays are 0, 0, 1/2, 0 on 4 degrees of freedom.
    # World: replays' means are 1, 0 and 1/2, 1; squares 2·(1/4+1/4) + 2·(1/16+1/16) on 2.
    # Policy: rollouts' means are 1/2 and 3/4; squares 4·(1/64+1/64) on 1.
    found = split_variance([ACTION])
    assert found.judge is not None
    assert found.judge.raw == pytest.approx(0.125)
    assert found.world.raw == pytest.approx((1.25 / 2 - 0.125) / 2)
    assert found.policy is not None
    assert found.policy.raw == pytest.approx((0.125 - 0.125 - 2 * 0.25) / 4)
    assert found.policy.variance == 0
    assert found.policy.share == 0
    assert found.world.share == pytest.approx(0.25 / 0.375)
    assert (found.rollouts, found.replays) == (2, 4)
    assert found.world.low is None, "one task says nothing of others"


def test_what_is_judged_once_cannot_tell_the_judge_from_the_world() -> None:
    once = split_variance([[[[1.0], [0.0]], [[1.0], [1.0]]]])
    assert once.judge is None
    assert once.world.raw == pytest.approx(0.25)


def test_rewards_that_never_vary_have_no_shares() -> None:
    found = split_variance([[[[0.7, 0.7]] * 3] * 2] * 6)
    assert found.world.share is None
    assert found.world.low is None


def test_where_no_task_has_two_rollouts_the_policy_cannot_be_told_nor_any_share() -> None:
    found = split_variance([[[[1.0, 1.0], [0.0, 0.0]]]] * 8)
    assert found.policy is None, "not 0, which would leave all to the world"
    assert found.world.raw == pytest.approx(0.5)
    assert (found.world.share, found.world.low) == (None, None)


def test_a_world_that_is_steady_has_no_share() -> None:
    steady = [[[[1.0, 1.0]] * 3, [[0.0, 0.0]] * 3]] * 8
    found = split_variance(steady)
    assert found.policy is not None
    assert found.policy.share == 1
    assert (found.world.share, found.world.low, found.world.high) == (0, 0, 0)


@pytest.mark.parametrize("task", [[], [[[1.0]]], [[[1.0], []]], [[[1.0]], [[0.0]]]])
def test_without_two_replays_nothing_is_said(task: list[list[list[float]]]) -> None:
    with pytest.raises(TooFewReplays):
        split_variance([task])


@given(st.lists(TASK, min_size=1, max_size=4))
def test_shares_add_up_and_the_level_and_order_of_tasks_do_not_matter(
    tasks: list[list[list[list[float]]]],
) -> None:
    found = split_variance(tasks)
    parts = [part for part in (found.policy, found.world, found.judge) if part]
    shares = [part.share for part in parts]
    assert None in shares or sum(filter(None, shares)) == pytest.approx(1)
    moved = [
        [[[5 - y for y in replay] for replay in rollout] for rollout in task]
        for task in reversed(tasks)
    ]
    other = split_variance(moved)
    assert other.world.raw == pytest.approx(found.world.raw, abs=1e-9)
    assert (other.policy is None) == (found.policy is None)
    if found.policy is not None and other.policy is not None:
        assert other.policy.raw == pytest.approx(found.policy.raw, abs=1e-9)


def test_estimates_are_right_on_average_also_with_unequal_numbers() -> None:
    planted, chance = Planted(0.3, 0.1), random.Random(0)
    # So few tasks a time that no interval is drawn.
    found = [split_variance([_ragged(planted, chance) for _ in range(4)]) for _ in range(1500)]
    for name, truth in planted.components().items():
        mean = fmean(getattr(each, name).raw for each in found if getattr(each, name))
        assert mean == pytest.approx(truth, abs=0.006)


def _ragged(planted: Planted, chance: random.Random) -> TaskRewards:
    [task] = planted.draw(chance, 1, 4, 3, 2)
    return [
        [replay[: chance.randint(1, 2)] for replay in rollout[: chance.randint(2, 3)]]
        for rollout in task[: chance.randint(2, 4)]
    ]


@pytest.mark.parametrize("planted", [Planted(0.2, 0.1), Planted(0.5, 0.0)])
def test_intervals_hold_what_was_planted(planted: Planted) -> None:
    assert max(misses(planted, 20, (16, 4, 4, 2)).values()) <= 1
