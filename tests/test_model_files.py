"""Models and adapters from elsewhere: all of one is read, from safetensors, or none of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from simia_async.errors import UsageError  # noqa: E402
from simia_async.inference.engine import Engine  # noqa: E402
from simia_async.inference.weights import load_base, merged  # noqa: E402
from simia_async.model_files import read_model  # noqa: E402
from simia_async.training.adapters import attach_adapter, publish_adapter  # noqa: E402
from tests.trained_adapters import MODEL, RENDERER  # noqa: E402

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_adapter(attach_adapter(MODEL, None, 4), tmp_path_factory.mktemp("a"), 1, {})


def holding(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    """Other tensors in the file."""
    return lambda path: save_file(change(load_file(path / WEIGHTS)), path / WEIGHTS)


def with_layer_77(tensors: Tensors) -> Tensors:
    more = {name.replace("layers.0", "layers.77"): t.clone() for name, t in tensors.items()}
    return tensors | more


def as_pickle(path: Path) -> None:
    torch.save(load_file(path / WEIGHTS), path / "adapter_model.bin")
    (path / WEIGHTS).unlink()


def configured(**changes: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        config = json.loads((path / CONFIG).read_text())
        (path / CONFIG).write_text(json.dumps(config | changes))

    return write


BAD_ADAPTERS = {
    "cut off": (lambda path: (path / WEIGHTS).write_bytes(b"garbage"), "cannot be loaded"),
    "empty": (holding(lambda _: {}), "it lacks .*layers.0"),
    "a layer less": (
        holding(lambda old: {n: t for n, t in old.items() if "layers.1." not in n}),
        "it lacks .*layers.1.",
    ),
    "a layer more": (holding(with_layer_77), "it also has .*layers.77."),
    "another shape": (
        holding(lambda old: {n: t[:-1].clone() for n, t in old.items()}),
        "cannot be loaded: .*size mismatch",
    ),
    "not finite": (holding(lambda old: {n: t / 0 for n, t in old.items()}), "cannot be merged"),
    "no weights": (lambda path: (path / WEIGHTS).unlink(), f"no adapter here .{WEIGHTS} is miss"),
    "a pickle": (as_pickle, f"no adapter here .{WEIGHTS} is missing"),
    "no JSON": (lambda path: (path / CONFIG).write_bytes(b"\xff{"), "cannot be loaded"),
    "other modules": (configured(target_modules=["nope"]), "cannot be loaded: .*nope"),
    "another kind": (configured(peft_type="NOPE"), "cannot be loaded"),
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(MODEL, RENDERER.eos_id, max_slots=2)


@pytest.mark.parametrize("how", BAD_ADAPTERS)
def test_an_adapter_that_is_none_of_this_model_is_refused(
    how: str, adapter: Path, engine: Engine, tmp_path: Path
) -> None:
    spoil, sentence = BAD_ADAPTERS[how]
    bad = Path(shutil.copytree(adapter, tmp_path / "bad"))
    spoil(bad)
    with pytest.raises(UsageError, match=f"bad.*{sentence}") as refused:
        engine.load("policy@1", bad).result()
    assert "\n" not in str(refused.value)
    assert list(engine.models) == ["policy@0"]
    if how != "not finite":
        with pytest.raises(UsageError, match=sentence):
            attach_adapter(MODEL, bad, 4)


def test_whole_layers_beside_an_adapter_are_its_own_affair(adapter: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(adapter, tmp_path / "a"))
    holding(lambda old: old | {"base_model.model.other.weight": torch.ones(1)})(copy)
    assert merged(load_base(MODEL), copy)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("model.safetensors", b"garbage", "cannot be loaded: .*header"),
        ("config.json", b"{", "cannot be loaded"),
        ("config.json", b"[]", "cannot be loaded"),
        ("config.json", b"{}", "cannot be loaded"),
    ],
)
def test_a_model_that_cannot_be_read_is_refused(
    tmp_path: Path, file: str, content: bytes, sentence: str
) -> None:
    model = Path(shutil.copytree(MODEL, tmp_path / "m"))
    (model / file).write_bytes(content)
    with pytest.raises(UsageError, match=f"m: {sentence}") as refused:
        read_model(model)
    assert "\n" not in str(refused.value)


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODEL, tmp_path / "m"))
    tensors = load_file(model / "model.safetensors")
    kept = {name: t for name, t in tensors.items() if "layers.1.mlp" not in name}
    save_file(kept, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"its weights lack model\.layers\.1\.mlp.* and 2 more"):
        read_model(model)


def test_weights_that_are_pickles_are_not_served(tmp_path: Path) -> None:
    model = Path(shutil.copytree(MODEL, tmp_path / "m"))
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"m: cannot be loaded: .*safetensors"):
        load_base(model)
