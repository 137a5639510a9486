"""The losses against cases worked out by hand, and against finite differences."""

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from simia_store import (  # noqa: E402
    GroupRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)

from simia_async.training.losses import grpo_loss  # noqa: E402
from simia_async.training.samples import (  # noqa: E402
    TrainingSample,
    as_batch,
    read_groups,
    split_by_tokens,
)

CLIP = {"clip_low": 0.2, "clip_high": 0.28, "normaliser": 1.0}


def terms(ratio: float, advantage: float):
    behaviour = torch.tensor([-1.0])
    return grpo_loss(behaviour + math.log(ratio), behaviour, torch.tensor([advantage]), **CLIP)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.0, 0.5, -0.5, 0),
        (1.1, 0.5, -0.55, 0),
        (1.5, 0.5, -0.64, 1),  # held at 1.28
        (0.5, 0.5, -0.25, 1),  # a good action that became rarer is not held
        (0.5, -0.5, 0.4, 1),  # held at 0.8
        (1.5, -0.5, 0.75, 1),  # a bad action that became likelier is not held
    ],
)
def test_grpo_by_hand(ratio: float, advantage: float, loss: float, clipped: int) -> None:
    got = terms(ratio, advantage)
    assert float(got.loss) == pytest.approx(loss, rel=1e-5)
    assert got.clipped == clipped
    assert got.kl == pytest.approx(ratio - 1 - math.log(ratio), abs=1e-6)


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    behaviour = -torch.rand(20, dtype=torch.float64)
    advantages = torch.randn(20, dtype=torch.float64)
    logprobs = (behaviour + 0.4 * torch.randn(20, dtype=torch.float64)).requires_grad_()

    def loss(x):
        return grpo_loss(x, behaviour, advantages, **CLIP).loss

    assert torch.autograd.gradcheck(loss, (logprobs,))


def test_clipped_tokens_have_no_gradient() -> None:
    behaviour = torch.tensor([-1.0, -1.0])
    logprobs = torch.tensor([-0.5, -1.0], requires_grad=True)
    grpo_loss(logprobs, behaviour, torch.tensor([1.0, 1.0]), **CLIP).loss.backward()
    assert logprobs.grad[0] == 0
    assert logprobs.grad[1] == -1


def test_a_batch_is_shifted_and_its_padding_masked() -> None:
    long = TrainingSample([1, 2, 3, 4], [0, 0, 1, 1], [0.0, 0.0, -0.1, -0.2], 0.5)
    short = TrainingSample([5, 6], [0, 1], [0.0, -0.3], -0.5)
    batch = as_batch([long, short])
    assert batch.inputs_bt.tolist() == [[1, 2, 3], [5, 6, 0]]
    assert batch.targets_bt.tolist() == [[2, 3, 4], [6, 0, 0]]
    assert batch.mask_bt.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert batch.logprobs_bt.tolist() == [
        [0, pytest.approx(-0.1), pytest.approx(-0.2)],
        [pytest.approx(-0.3), 0, 0],
    ]


def test_every_sample_is_in_one_batch_that_fits() -> None:
    lengths = [5, 100, 30, 30, 30, 7, 250]
    batches = list(split_by_tokens(lengths, 100))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100


async def test_groups_give_centred_advantages_and_count_what_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    rewards = {1: [1.0, 0.0, None, 0.5], 2: [1.0, 1.0, None, 1.0]}
    async with open_store(path) as store:
        for group, group_rewards in rewards.items():
            await store.append(GroupRecord(group, "t", 1, 3, 4, group_rewards))
            for reward in group_rewards:
                trajectory = store.new_trajectory_id()
                status = TrajectoryStatus.UNSCORED if reward is None else TrajectoryStatus.SCORED
                await store.append(
                    TrajectoryRecord(trajectory, "e", "t", status, group_id=group, reward=reward),
                    TurnRecord(trajectory, 0, "user", {}),
                    TurnRecord(
                        trajectory,
                        1,
                        "assistant",
                        {},
                        prompt_ids=[7, 8],
                        token_ids=[9, 10],
                        logprobs=[-0.1, -0.2],
                    ),
                )
    samples, counts = read_groups(path, 1)
    assert counts == {"rollouts": 8, "masked": 2, "zero_variance": 3, "unspoken": 0}
    assert [sample.advantage for sample in samples] == pytest.approx([0.5, -0.5, 0.0])
    assert samples[0].ids == [7, 8, 9, 10]
    assert samples[0].loss_mask == [0, 0, 1, 1]
    assert samples[0].logprobs == [0.0, 0.0, -0.1, -0.2]
    assert read_groups(path, 2) == (
        [],
        {"rollouts": 0, "masked": 0, "zero_variance": 0, "unspoken": 0},
    )


async def test_a_rollout_without_a_word_is_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    async with open_store(path) as store:
        await store.append(GroupRecord(1, "t", 1, 0, 2, [1.0, 0.0]))
        for trajectory, ids in ((1, [5]), (2, [])):
            await store.append(
                TrajectoryRecord(
                    trajectory,
                    "e",
                    "t",
                    TrajectoryStatus.SCORED,
                    group_id=1,
                    reward=float(trajectory == 1),
                ),
                TurnRecord(
                    trajectory, 0, "assistant", {}, token_ids=ids, logprobs=[-1.0] * len(ids)
                ),
            )
    samples, counts = read_groups(path, 1)
    assert [sample.ids for sample in samples] == [[5]]
    assert counts["unspoken"] == 1
