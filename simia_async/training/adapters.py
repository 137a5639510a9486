"""LoRA adapters: attach one to a base model, and publish it in one atomic step."""

from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from simia_async.errors import UsageError
from simia_async.model_files import read_adapter, read_model
from simia_async.training.at_once import directory_at_once
from simia_async.training.low_rank import quicken
from simia_async.training.placement import CPU, Placement

MANIFEST = "simia_manifest.json"
OPTIMIZER = "optimizer.safetensors"
"""Names within an adapter's directory."""


def attach_adapter(
    model_dir: Path,
    adapter: Path | None,
    rank: int,
    targets: tuple[str, ...] = (),
    attention: str | None = None,
    placement: Placement = CPU,
) -> PeftModel:
    """The base model with a trainable adapter: a fresh one, or a copy of `adapter`.

    A fresh one is attached to the modules whose names end in `targets`; with none, to all linear
    layers. The adapter's weights are float32, whatever the base's are. `attention` names an
    implementation, None leaves it to transformers. Raises `UsageError` if the model or the adapter
    cannot be loaded, or a target is not in the model.
    """
    base: Any = read_model(model_dir, dtype=placement.dtype, attn_implementation=attention)
    try:
        base.to(placement.device)
        if adapter is not None:
            model = read_adapter(base, adapter, is_trainable=True)
        else:
            _check_targets(base, model_dir, targets)
            config = LoraConfig(
                r=rank,
                lora_alpha=2 * rank,
                target_modules=list(targets) or "all-linear",
                task_type="CAUSAL_LM",
            )
            model = get_peft_model(base, config)
        quicken(model)
        return model
    except (ValueError, RuntimeError) as error:  # such as no memory
        raise UsageError(
            f"{model_dir}: cannot be given an adapter of rank {rank}: {error}"
        ) from error


def _check_targets(base: torch.nn.Module, model_dir: Path, targets: tuple[str, ...]) -> None:
    linear = [name for name, m in base.named_modules() if isinstance(m, torch.nn.Linear)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise UsageError(
                f"--lora-target: {model_dir} has no linear layer {target!r}; it has {known}"
            )


def version_directory(directory: Path, version: int) -> Path:
    """Where a version is published."""
    return directory / f"v{version:05}"


def publish_adapter(
    model: PeftModel,
    directory: Path,
    version: int,
    manifest: dict[str, Any],
    optimizer: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Write `directory/v00001` so that it is never seen half-written; return its path.

    With what the `optimizer` remembers, others can go on from there. Raises `UsageError` if the
    disk says no.
    """
    final = version_directory(directory, version)
    with directory_at_once(final) as partial:
        model.save_pretrained(str(partial))
        if optimizer is not None:
            save_file(optimizer, partial / OPTIMIZER)
        (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    return final
