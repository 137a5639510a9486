"""Advantages by hand and by their laws, and which rollouts are learnt from."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from simia_store import GroupRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store

from simia_async.config import GrpoConfig, PolicyEndpoint
from simia_async.errors import ConfigError, UsageError
from simia_async.training.advantages import group_advantages, overlong_penalty
from simia_async.training.groups import Rules, read_groups

# Rewards of judges: shares with a few digits, so that those that differ do so visibly.
REWARDS = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=16)
KINDS = st.fixed_dictionaries({"leave_one_out": st.booleans(), "by_std": st.booleans()})

RULES = Rules(
    version=3, max_staleness=0, limit=20, vocabulary=100, leave_one_out=False, by_std=False
)


def close(found: Sequence[float | None] | None, wanted: Sequence[float | None]) -> bool:
    return found == [None if w is None else pytest.approx(w, abs=1e-9) for w in wanted]


@pytest.mark.parametrize(
    ("kind", "rewards", "wanted"),
    [
        ({}, [1, 0, 0, 1], [0.5, -0.5, -0.5, 0.5]),
        ({}, [1, None, 0, 0.5], [0.5, None, -0.5, 0.0]),
        ({"by_std": True}, [1, 0, 0, 1], [1, -1, -1, 1]),
        # Standard deviation: the root of (9 + 1 + 1 + 1) / 16 / 4.
        ({"by_std": True}, [1, 0, 0, 0], [math.sqrt(3), *3 * [-1 / math.sqrt(3)]]),
        # Each against the mean of the others.
        ({"leave_one_out": True}, [1, 0, 0, 0.5], [1 - 0.5 / 3, -0.5, -0.5, 0.5 - 1 / 3]),
        ({"leave_one_out": True}, [1, None, 0], [1, None, -1]),
        ({"leave_one_out": True, "by_std": True}, [1, 0], [2, -2]),
    ],
)
def test_advantages_by_hand(
    kind: dict[str, bool], rewards: list[float | None], wanted: list[float | None]
) -> None:
    assert close(group_advantages(rewards, **kind), wanted)


@pytest.mark.parametrize(
    "rewards",
    [[], [None, None], [0.3, None], [1, 1, 1], [0.1 + 0.2, 0.3], [0, None, 0]],
)
@pytest.mark.parametrize("by_std", [True, False])
def test_a_group_whose_rewards_are_the_same_teaches_nothing(
    rewards: list[float | None], *, by_std: bool
) -> None:
    assert group_advantages(rewards, by_std=by_std) is None


@given(REWARDS, KINDS)
def test_advantages_sum_to_zero(rewards: list[float], kind: dict[str, bool]) -> None:
    advantages = group_advantages(rewards, **kind)
    assert (advantages is None) == (len(set(rewards)) == 1)
    assert math.fsum(advantages or []) == pytest.approx(0, abs=1e-9)


@given(REWARDS, KINDS, st.floats(0.1, 10), st.floats(-5, 5))
def test_scale_and_shift(
    rewards: list[float], kind: dict[str, bool], scale: float, shift: float
) -> None:
    assume(len(set(rewards)) > 1)
    before = group_advantages(rewards, **kind)
    after = group_advantages([scale * reward + shift for reward in rewards], **kind)
    assert before is not None
    assert close(after, [a if kind["by_std"] else scale * a for a in before])


@given(REWARDS, KINDS, st.randoms())
def test_the_order_of_rollouts_changes_no_bit(
    rewards: list[float], kind: dict[str, bool], random: object
) -> None:
    assume(len(set(rewards)) > 1)
    order = list(range(len(rewards)))
    random.shuffle(order)
    plain = group_advantages(rewards, **kind)
    assert group_advantages([rewards[i] for i in order], **kind) == [plain[i] for i in order]


@given(REWARDS, KINDS, st.data())
def test_what_has_no_reward_is_masked_and_changes_nothing_else(
    rewards: list[float], kind: dict[str, bool], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(rewards)))
    without = group_advantages(rewards, **kind)
    masked = group_advantages([*rewards[:at], None, *rewards[at:]], **kind)
    assert masked == (without and [*without[:at], None, *without[at:]])


@given(REWARDS)
def test_leaving_one_out_is_a_factor(rewards: list[float]) -> None:
    assume(len(set(rewards)) > 1)
    n = len(rewards)
    others = [(sum(rewards) - reward) / (n - 1) for reward in rewards]
    direct = [reward - other for reward, other in zip(rewards, others, strict=True)]
    plain = group_advantages(rewards)
    assert close(group_advantages(rewards, leave_one_out=True), direct)
    assert close([n / (n - 1) * advantage for advantage in plain], direct)


@given(REWARDS)
def test_normalised_advantages_are_bounded(rewards: list[float]) -> None:
    assume(len(set(rewards)) > 1)
    largest = max(map(abs, group_advantages(rewards, by_std=True)))
    assert largest <= math.sqrt(len(rewards) - 1) + 1e-9


@pytest.mark.parametrize(
    ("tokens", "penalty"), [(0, 0), (80, 0), (85, -0.25), (90, -0.5), (100, -1), (130, -1)]
)
def test_the_punishment_of_length_by_hand(tokens: int, penalty: float) -> None:
    assert overlong_penalty(tokens, limit=100, buffer=20) == penalty
    assert overlong_penalty(tokens, limit=100, buffer=0) == 0


Told = tuple[float | None, list[TurnRecord]]


def turns(*spoken: int, prompt: int = 2) -> list[TurnRecord]:
    """One turn for each number: a prompt, and so many sampled tokens."""
    return [
        TurnRecord(
            0,
            2 * position + 1,
            "assistant",
            {},
            prompt_ids=list(range(prompt)),
            token_ids=[10 + token for token in range(count)],
            logprobs=[-0.1 * token for token in range(count)],
        )
        for position, count in enumerate(spoken)
    ]


async def store(path: Path, groups: dict[tuple[int, int], list[Told]]) -> Path:
    """Groups by id and policy version, the last written first."""
    async with open_store(path) as record:
        number = 0
        for (group, version), members in groups.items():
            written = []
            for reward, told in members:
                number += 1
                status = TrajectoryStatus.UNSCORED if reward is None else TrajectoryStatus.SCORED
                written.append(
                    (
                        TrajectoryRecord(number, "e", "t", status, group_id=group, reward=reward),
                        TurnRecord(number, 0, "user", {}),
                        *(replace(turn, trajectory_id=number) for turn in told),
                    )
                )
            await record.append(GroupRecord(group, "t", 1, version, len(members)))
            for records in reversed(written):
                await record.append(*records)
    return path


async def test_every_rollout_is_learnt_from_or_counted_once(tmp_path: Path) -> None:
    groups = {
        (1, 3): [(1.0, turns(2, 1)), (0.0, turns(2)), (None, turns(2)), (0.5, turns(2))],
        (2, 3): [(1.0, turns(2)), (1.0, turns(2)), (None, turns(2)), (1.0, turns(2))],
        (3, 3): [(1.0, turns(2, prompt=19)), (0.0, turns(2)), (0.0, turns(0)), (0.0, [])],
        (4, 2): [(1.0, turns(2)), (None, turns(2))],
    }
    path = await store(tmp_path / "rl.db", groups)
    read = read_groups(path, 1, RULES)
    assert read.counts == {
        "rollouts": 14,
        "stale": 2,
        "masked": 2,
        "zero_variance": 3,
        "overflow": 1,
        "unspoken": 2,
        "overlong": 0,
    }
    assert [(r.trajectory_id, r.advantage) for r in read.rollouts] == [
        (1, 0.5),
        (2, -0.5),
        (4, 0.0),
        (10, -0.25),
    ]
    left_out = sum(read.counts.values()) - read.counts["rollouts"]
    assert left_out + len(read.rollouts) == read.counts["rollouts"]
    first = read.rollouts[0]
    assert first.ids == [0, 1, 10, 11, 0, 1, 10]
    assert first.loss_mask == [0, 0, 1, 1, 0, 0, 1]
    assert first.sampled == [10, 11, 10]
    assert first.logprobs == [0.0, -0.1, 0.0]

    later = read_groups(path, 1, replace(RULES, version=4, max_staleness=1))
    assert later.counts["stale"] == 2
    assert {rollout.staleness for rollout in later.rollouts} == {1}
    nothing = read_groups(path, 2, RULES)
    assert (nothing.rollouts, set(nothing.counts.values())) == ([], {0.0})


async def test_rewards_fall_before_the_limit(tmp_path: Path) -> None:
    """Lengths 4, 16 and 18 of 20: up to 15 nothing is taken off."""
    members = [(1.0, turns(2)), (1.0, turns(2, prompt=14)), (1.0, turns(2, prompt=16))]
    path = await store(tmp_path / "rl.db", {(1, 3): members})
    read = read_groups(path, 1, replace(RULES, overlong_buffer=5))
    assert read.counts["overlong"] == 2
    mean = (1.0 + 0.8 + 0.4) / 3
    advantages = [rollout.advantage for rollout in read.rollouts]
    assert close(advantages, [1.0 - mean, 0.8 - mean, 0.4 - mean])
    assert read_groups(path, 1, RULES).counts["zero_variance"] == 3


@pytest.mark.parametrize(
    ("tampered", "sentence"),
    [
        ({"logprobs": [-0.1]}, "found 1 log-probabilities for 2 sampled tokens; expected one each"),
        ({"token_ids": [1, 2, 3]}, "found 2 log-probabilities for 3 sampled tokens"),
        ({"token_ids": [1, 100]}, "found token 100; the model's vocabulary ends at 99, so it is"),
        ({"prompt_ids": [-1]}, "found token -1; the model's vocabulary"),
        ({"prompt_ids": []}, "begins with sampled tokens; expected a prompt before them"),
    ],
)
async def test_turns_that_were_not_sampled_so_are_refused(
    tmp_path: Path, tampered: dict[str, list[float]], sentence: str
) -> None:
    told = [replace(turns(2)[0], **tampered)]
    path = await store(tmp_path / "rl.db", {(1, 3): [(1.0, turns(2)), (0.0, told)]})
    with pytest.raises(UsageError) as raised:
        read_groups(path, 1, RULES)
    assert f"{path}: trajectory 2, turn 1: {sentence}" in str(raised.value)


def test_greedy_rollouts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--policy-temperature: found 0; .* greedy"):
        GrpoConfig(policy=PolicyEndpoint(temperature=0))


def test_a_punishment_of_length_needs_a_limit() -> None:
    with pytest.raises(ConfigError, match=r"overlong_buffer: also needs --context"):
        GrpoConfig(overlong_buffer=100)
