"""SFT's steps: packed and accumulated is the same as one by one, and nothing bad is learnt."""

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from simia_async.config import TINY, SftConfig  # noqa: E402
from simia_async.errors import UsageError  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.training.adapters import attach_adapter  # noqa: E402
from simia_async.training.attention import PACKED, check_packable  # noqa: E402
from simia_async.training.learner import Learner  # noqa: E402
from simia_async.training.losses import spoken_logprobs  # noqa: E402
from simia_async.training.samples import SftSample, as_packed_row, pack_by_tokens  # noqa: E402
from simia_async.training.schedules import rate_share  # noqa: E402
from simia_async.training.sft import plan_steps  # noqa: E402

MODEL = model_directory(TINY)
LENGTHS = [40, 7, 90, 23, 64, 2]


def samples(seed: int = 0) -> list[SftSample]:
    torch.manual_seed(seed)
    return [
        SftSample(
            number,
            torch.randint(10, 1000, (length,)).tolist(),
            [0, *torch.randint(0, 2, (length - 2,)).tolist(), 1],
        )
        for number, length in enumerate(LENGTHS, 1)
    ]


def model(attention: str | None = PACKED) -> Any:
    """With an adapter that does something: a fresh one's B is zero, and so are A's gradients."""
    torch.manual_seed(1)
    made = attach_adapter(MODEL, None, rank=4, attention=attention)
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return made


def learnt_from(
    batches: list[list[SftSample]], out: Path, *, packing: bool
) -> tuple[float, dict[str, Any]]:
    policy = model(PACKED if packing else None)
    learner = Learner(SftConfig(packing=packing), policy, out)
    loss, _ = learner.accumulate_gradients(batches)
    return loss, {n: p.grad for n, p in policy.named_parameters() if p.grad is not None}


def check_same(one: dict[str, Any], other: dict[str, Any], within: float) -> None:
    """`within` is a share of the largest gradient."""
    assert one.keys() == other.keys()
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    assert largest > 0
    for name, gradient in one.items():
        assert float((gradient - other[name]).abs().max()) < within * largest, name


def test_packed_is_the_same_as_each_alone(tmp_path: Path) -> None:
    packed_loss, packed = learnt_from([samples()], tmp_path, packing=True)
    loss, alone = learnt_from([[each] for each in samples()], tmp_path, packing=False)
    assert packed_loss == pytest.approx(loss, rel=1e-5)
    check_same(packed, alone, within=1e-5)


def test_accumulated_is_the_same_as_at_once(tmp_path: Path) -> None:
    told = samples()
    # Of unlike sizes, so that a mean of means would show.
    whole_loss, whole = learnt_from([told], tmp_path, packing=True)
    loss, parts = learnt_from([told[:1], told[1:5], told[5:]], tmp_path, packing=True)
    assert whole_loss == pytest.approx(loss, rel=1e-6)
    check_same(whole, parts, within=1e-6)


def test_a_packed_sample_does_not_see_its_neighbours() -> None:
    policy, (first, *rest), (other, *_) = model(), samples(), samples(seed=5)
    with torch.no_grad():
        ours, _ = spoken_logprobs(policy, as_packed_row([first, *rest]))
        swapped = SftSample(1, other.ids, first.loss_mask)
        theirs, _ = spoken_logprobs(policy, as_packed_row([swapped, *rest]))
    assert not torch.equal(ours[: first.spoken], theirs[: first.spoken])
    assert torch.equal(ours[first.spoken :], theirs[first.spoken :])


def test_a_model_that_attends_to_a_window_is_not_packed() -> None:
    config = model().config
    check_packable(config, "m")
    config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(UsageError, match=r"m: its layers.*use --no-packing"):
        check_packable(config, "m")


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(1, 400), st.randoms())
def test_every_sample_is_in_one_row_that_fits(lengths: list[int], room: int, rng: Random) -> None:
    order = list(range(len(lengths)))
    rng.shuffle(order)
    rows = list(pack_by_tokens(lengths, room, order))
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        assert len(row) == 1 or sum(lengths[index] for index in row) <= room


@pytest.mark.parametrize("packing", [True, False])
def test_each_epoch_sees_every_sample_once(*, packing: bool) -> None:
    config = SftConfig(packing=packing, epochs=2, accumulate=2, tokens_per_batch=100)
    plan = plan_steps(config, LENGTHS)
    assert all(1 <= len(step) <= 2 for step in plan)
    seen = [index for step in plan for batch in step for index in batch]
    half = len(LENGTHS)
    assert sorted(seen[:half]) == sorted(seen[half:]) == list(range(half))
    assert plan == plan_steps(config, LENGTHS)


def test_each_epoch_packs_other_neighbours() -> None:
    plan = plan_steps(SftConfig(epochs=2, tokens_per_batch=200), [50] * 40)
    rows = [frozenset(batch) for step in plan for batch in step]
    first, second = rows[:10], rows[10:]
    assert len(rows) == 20
    assert not set(first) & set(second)


def test_learning_rates_by_hand() -> None:
    assert rate_share("constant", 1, 100, 0.0) == 1
    assert [rate_share("constant", step, 20, 0.2) for step in (1, 2, 4, 20)] == [0.25, 0.5, 1, 1]
    assert rate_share("linear", 50, 100, 0.1) == pytest.approx(0.55)
    assert rate_share("cosine", 50, 100, 0.1) == pytest.approx(0.55)
    assert rate_share("cosine", 25, 100, 0.1) == pytest.approx(0.1 + 0.45 * (1 + math.sqrt(0.5)))
    for schedule in ("linear", "cosine"):
        assert rate_share(schedule, 100, 100, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize("poisoned", ["lora_A", "lora_B"])
def test_nothing_is_learnt_from_what_is_not_finite(tmp_path: Path, poisoned: str) -> None:
    policy, told = model(), samples()
    parameter = next(p for n, p in policy.named_parameters() if poisoned in n)
    with torch.no_grad():
        parameter[0, 0] = math.nan
    before = {name: p.clone() for name, p in policy.named_parameters()}
    learner = Learner(SftConfig(), policy, tmp_path / "adapters")
    with pytest.raises(
        UsageError, match=r"step 7: the loss is not finite.*not-finite-step-7\.json"
    ):
        learner.learn(7, [told], 1e-3)
    for name, parameter in policy.named_parameters():
        assert torch.equal(parameter.nan_to_num(), before[name].nan_to_num()), name
    (kept,) = json.loads((tmp_path / "adapters" / "not-finite-step-7.json").read_text())
    assert [each["trajectory_id"] for each in kept] == [each.trajectory_id for each in told]
    assert kept[0]["ids"] == told[0].ids


def test_only_the_named_modules_get_an_adapter() -> None:
    made = attach_adapter(MODEL, None, rank=2, targets=("q_proj", "v_proj"))
    trained = {name.split(".lora_")[0] for name, p in made.named_parameters() if p.requires_grad}
    assert {name.rsplit(".", 1)[-1] for name in trained} == {"q_proj", "v_proj"}
    with pytest.raises(UsageError, match=r"--lora-target: .* no linear layer 'qproj'; it has .*q_"):
        attach_adapter(MODEL, None, rank=2, targets=("qproj",))
