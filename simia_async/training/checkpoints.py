"""Where a training stands, on disk, so that it goes on as if nothing had happened.

A checkpoint is a directory: `weights.safetensors` and `best.safetensors` (the adapter's parameters
by name, now and at the best evaluation), `optimizer.safetensors`, `random.safetensors` (states of
the random number generators), and `progress.json`.
"""

import shutil
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from simia_async.errors import UsageError
from simia_async.training.adapted import Tensors
from simia_async.training.at_once import directory_at_once, file_at_once
from simia_async.training.held_out import Evaluations

_ORIGIN = "training.json"

T = TypeVar("T")


class Origin(msgspec.Struct, frozen=True):
    """What a training is made of. One that goes on must be made of the same."""

    base_sha256: str
    data_sha256: str
    config: dict[str, Any]


class Progress(msgspec.Struct):
    """How far a training has come."""

    step: int = 0
    tokens: int = 0
    """Spoken tokens that were learnt from."""
    first_loss: float | None = None
    last_loss: float | None = None
    lowest_loss: float | None = None
    evaluations: Evaluations = msgspec.field(default_factory=Evaluations)


class Checkpoint(msgspec.Struct, frozen=True):
    """All that the steps to come depend on."""

    progress: Progress
    weights: Tensors
    best: Tensors
    """Empty where nothing was evaluated yet."""
    optimizer: Tensors
    random: Tensors


def check_origin(out: Path, origin: Origin) -> None:
    """Write down what the training in `out` is made of, or compare with what was written down.

    Raises `UsageError` if it is something else.
    """
    path = out / _ORIGIN
    if not path.exists():
        file_at_once(path, msgspec.json.format(msgspec.json.encode(origin)) + b"\n")
        return
    before = _read(path, Origin)
    for field, what in (
        ("base_sha256", "the base model's files"),
        ("data_sha256", "the trajectories"),
        ("config", "the settings"),
    ):
        found, began = getattr(origin, field), getattr(before, field)
        if found != began:
            raise UsageError(
                f"{path}: {what} are not those that this training began with ({field}: found "
                f"{_named(found, began)}, expected {_named(began, found)}); begin anew with "
                "another --run"
            )


def save_checkpoint(out: Path, checkpoint: Checkpoint) -> Path:
    """Write it, then remove those before; where it is. Raises `UsageError` if it cannot be
    written.
    """
    final = out / f"checkpoint-{checkpoint.progress.step:08}"
    with directory_at_once(final) as directory:
        for name in ("weights", "best", "optimizer", "random"):
            save_file(getattr(checkpoint, name), directory / f"{name}.safetensors")
        (directory / "progress.json").write_bytes(msgspec.json.encode(checkpoint.progress))
    for earlier in _all(out):
        if earlier != final:
            shutil.rmtree(earlier, ignore_errors=True)
    return final


def load_checkpoint(out: Path) -> Checkpoint | None:
    """The latest; None if there is none. Raises `UsageError` if it cannot be read."""
    saved = _all(out)
    if not saved:
        return None
    latest = saved[-1]
    tensors = {}
    for name in ("weights", "best", "optimizer", "random"):
        file = latest / f"{name}.safetensors"
        try:
            tensors[name] = load_file(file)
        except (OSError, SafetensorError) as error:
            raise UsageError(f"{file}: cannot be read: {error}") from error
    return Checkpoint(_read(latest / "progress.json", Progress), **tensors)


def remove_checkpoints(out: Path) -> None:
    """Once all is published, nobody needs them."""
    for directory in [*_all(out), *out.glob(".checkpoint-*.partial")]:
        shutil.rmtree(directory, ignore_errors=True)


def random_states(device: torch.device) -> Tensors:
    """States of torch's generators that a training on `device` may draw from, by device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states[_numbered(device)] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Tensors, device: torch.device) -> None:
    """Go on from `random_states`, where they are those of this device."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and (state := states.get(_numbered(device))) is not None:
        torch.cuda.set_rng_state(state, device)


def _numbered(device: torch.device) -> str:
    return f"cuda:{torch.cuda.current_device() if device.index is None else device.index}"


def _all(out: Path) -> list[Path]:
    """In the order of their steps."""
    return sorted(out.glob("checkpoint-" + 8 * "[0-9]"))


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error


def _named(value: Any, other: Any) -> str:
    """A value, or the fields of it that differ."""
    if not isinstance(value, dict):
        return str(value)[:12]
    return ", ".join(f"{k} = {v!r}" for k, v in value.items() if v != other.get(k)) or "nothing"
