"""Devices, types of weights and gradient checkpointing, as far as a machine without a GPU tells."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

torch = pytest.importorskip("torch")

from simia_async.config import TINY, SftConfig  # noqa: E402
from simia_async.errors import UsageError  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.training.adapters import attach_adapter  # noqa: E402
from simia_async.training.attention import PACKED  # noqa: E402
from simia_async.training.learner import Learner  # noqa: E402
from simia_async.training.placement import (  # noqa: E402
    CPU,
    Placement,
    choose_placement,
    keep_fewer_activations,
)
from simia_async.training.sft import train_sft  # noqa: E402
from tests.sft_runs import SMALL, make_data  # noqa: E402
from tests.test_training_sft import check_same, samples  # noqa: E402

MODEL = model_directory(TINY)
HALF = Placement(torch.device("cpu"), torch.bfloat16)


def gradients(out: Path, placement: Placement, *, packing: bool, fewer: bool) -> dict:
    torch.manual_seed(1)
    model = attach_adapter(
        MODEL, None, 4, attention=PACKED if packing else None, placement=placement
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    if fewer:
        keep_fewer_activations(model)
    Learner(SftConfig(packing=packing), model, out).accumulate_gradients([samples()])
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert {p.dtype for p in trained.values()} == {torch.float32}
    return {name: parameter.grad for name, parameter in trained.items()}


@pytest.mark.parametrize("packing", [True, False])
def test_gradient_checkpointing_changes_no_gradient(tmp_path: Path, *, packing: bool) -> None:
    kept = gradients(tmp_path, CPU, packing=packing, fewer=False)
    fewer = gradients(tmp_path, CPU, packing=packing, fewer=True)
    check_same(kept, fewer, within=1e-6)


def test_fewer_activations_are_kept() -> None:
    """Bytes that the backward pass needs of the forward pass."""
    kept = []
    for fewer in (False, True):
        model = attach_adapter(MODEL, None, 4, attention=PACKED)
        if fewer:
            keep_fewer_activations(model)
        saved = 0

        def count(tensor):
            nonlocal saved
            saved += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model.get_base_model().get_decoder()(torch.arange(200)[None], use_cache=False)
        kept.append(saved)
    assert kept[1] < kept[0] / 5


def test_a_base_in_bfloat16_gives_nearly_the_same_gradients(tmp_path: Path) -> None:
    exact = gradients(tmp_path, CPU, packing=True, fewer=False)
    half = gradients(tmp_path, HALF, packing=True, fewer=True)
    for name, gradient in exact.items():
        alike = torch.nn.functional.cosine_similarity(gradient.flatten(), half[name].flatten(), 0)
        assert alike > 0.98, name


def test_auto_is_what_there_is() -> None:
    place = choose_placement("auto", "auto")
    if torch.cuda.is_available():
        assert place.device.type == "cuda"
    else:
        assert place == CPU
    assert choose_placement("cpu", "bfloat16") == HALF


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "meta", "xla"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=rf"--device: found '{name}'.*does not have; it has cpu"):
        choose_placement(name, "auto")


async def test_too_little_memory_is_told(tmp_path: Path) -> None:
    data = await make_data(tmp_path, n=1)

    def as_if_full(_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UsageError, match="cpu: has too little memory; lower --tokens-per-batch"):
        train_sft(SMALL, [data], tmp_path / "a", as_if_full)


async def test_what_was_chosen_is_in_the_manifest(tmp_path: Path) -> None:
    data = await make_data(tmp_path, n=3)
    config = replace(SMALL, epochs=1, device="cpu", dtype="bfloat16", gradient_checkpointing=True)
    trained = train_sft(config, [data], tmp_path / "a", lambda _: None)
    manifest = json.loads((trained.last.path / "simia_manifest.json").read_text())
    assert (manifest["device"], manifest["dtype"]) == ("cpu", "bfloat16")
    assert manifest["config"]["gradient_checkpointing"] is True
