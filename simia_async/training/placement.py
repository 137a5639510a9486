"""Where the base model lies, and in which precision."""

import os
from typing import Any, Literal

import msgspec
import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from simia_async.errors import UsageError
from simia_async.training.processes import ALONE, Processes

DtypeName = Literal["auto", "float32", "bfloat16"]


class Placement(msgspec.Struct, frozen=True):
    """A device that there is, and the type of the base's weights on it."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        """As the settings call it."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def device_name(self) -> str:
        """The device with what it is, where it says: `cuda (NVIDIA H100)`."""
        if self.device.type != "cuda":
            return str(self.device)
        return f"{self.device} ({torch.cuda.get_device_name(self.device)})"


CPU = Placement(torch.device("cpu"), torch.float32)


def choose_placement(device: str, dtype: DtypeName, processes: Processes = ALONE) -> Placement:
    """Device and type by their names in the settings.

    `auto` is the first CUDA device if there is one, else the CPU; as a type it is bfloat16 on a
    CUDA device that computes with it, else float32. Of several `processes` each has a CUDA device
    of its own. Raises `UsageError` for a device that there is not.
    """
    wanted = device
    if device == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if processes.count > 1:
        wanted = _own_device(wanted, processes)
    place = _existing(wanted)
    if place.type == "cuda" and processes.count > 1:
        # Where sums over all processes are made.
        torch.cuda.set_device(place)
    if dtype == "auto":
        half = place.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return Placement(place, torch.bfloat16 if half else torch.float32)
    return Placement(place, getattr(torch, dtype))


def repeat_exactly(place: Placement) -> None:
    """Have CUDA compute the same each time, as far as torch can. The CPU does so anyway.

    Source: https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    if place.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


def keep_fewer_activations(model: Any) -> None:
    """Compute each layer's activations again in the backward pass instead of keeping them.

    Only the layers are set to training, which is what makes them do so: dropout stays off, so
    that gradients are the same.
    """
    base = model.get_base_model()
    # Its name since 5.2x of transformers, and the one before.
    enable = getattr(base, "activation_checkpointing_enable", None)
    (enable or base.gradient_checkpointing_enable)({"use_reentrant": False})
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise UsageError("--gradient-checkpointing: this model cannot do it; leave it out")
    for layer in layers:
        layer.training = True


def _own_device(name: str, processes: Processes) -> str:
    if name == "cpu":
        return name
    if name != "cuda":
        raise UsageError(
            f"--device: found {name!r} for the {processes.count} processes of --launch; it must be "
            "auto, cuda (a device each) or cpu"
        )
    if processes.count > torch.cuda.device_count():
        raise UsageError(
            f"--launch: starts {processes.count} processes, and each needs a device of its own; "
            f"this machine has {_devices()}; start fewer, or give --device cpu"
        )
    return f"cuda:{processes.rank}"


def _existing(name: str) -> torch.device:
    try:
        device = torch.device(name)
        # Whatever is wrong with a device shows when something is put there.
        found = torch.zeros(1, device=device).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"--device: found {name!r}, which this machine does not have; it has {_devices()}"
        ) from error
    assert found == 0
    return device


def _devices() -> str:
    count = torch.cuda.device_count()
    return ", ".join(["cpu", *(f"cuda:{number}" for number in range(count))])
