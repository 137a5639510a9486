"""What all samples of a packed row begin with is computed once, and nothing is learnt otherwise."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from simia_async.config import TINY  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.training.adapters import attach_adapter  # noqa: E402
from simia_async.training.attention import PACKED  # noqa: E402
from simia_async.training.losses import sft_loss  # noqa: E402
from simia_async.training.samples import SftSample, as_packed_row  # noqa: E402


def starting_alike(start: int) -> list[SftSample]:
    """Three samples with the first `start` tokens in common; the agent's words come later."""
    drawn = torch.Generator().manual_seed(start)
    told = []
    for number, length in enumerate([30, 9, 50]):
        own = [100 + number, *torch.randint(200, 1000, (length,), generator=drawn).tolist()]
        spoken = [0, *torch.randint(0, 2, (length - 1,), generator=drawn).tolist(), 1]
        told.append(SftSample(number, list(range(10, 10 + start)) + own, [0] * start + spoken))
    return told


def learnt(rows: list[list[SftSample]]) -> tuple[float, list[Any]]:
    torch.manual_seed(1)
    model = attach_adapter(model_directory(TINY), None, rank=4, attention=PACKED)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    losses = [sft_loss(model, as_packed_row(row))[0] for row in rows]
    torch.stack(losses).sum().backward()
    return sum(loss.item() for loss in losses), [
        p.grad for p in model.parameters() if p.grad is not None
    ]


@pytest.mark.parametrize("start", [0, 1, 2, 40])
def test_together_is_the_same_as_each_alone(start: int) -> None:
    told = starting_alike(start)
    together, ours = learnt([told])
    alone, theirs = learnt([[sample] for sample in told])
    assert together == pytest.approx(alone, rel=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in theirs)
    assert largest > 0
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).abs().max()) < 1e-5 * largest


def test_the_row_holds_the_beginning_once() -> None:
    told = starting_alike(40)
    # The last common token predicts what is not common.
    assert as_packed_row(told).shared == 39
    inputs = sum(len(sample.ids) - 1 for sample in told)
    assert as_packed_row(told).inputs_bt.shape == (1, inputs - 2 * 39)
    assert as_packed_row(told[:1]).shared == 0


def test_what_is_learnt_is_never_left_out() -> None:
    ids = [5, 6, 7, 8, 9]
    row = as_packed_row([SftSample(1, ids, [0, 0, 1, 0, 0]), SftSample(2, ids, [0, 0, 0, 0, 1])])
    assert row.shared == 1
    assert row.mask_bt.sum() == 2
