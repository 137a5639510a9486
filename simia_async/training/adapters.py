"""LoRA adapters: attach one to a base model, and publish it in one atomic step."""

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from simia_async.errors import SimiaError, UsageError


def attach_adapter(
    model_dir: Path,
    adapter: Path | None,
    rank: int,
    targets: tuple[str, ...] = (),
    attention: str | None = None,
) -> PeftModel:
    """The base model with a trainable adapter: a fresh one, or a copy of `adapter`.

    A fresh one is attached to the modules whose names end in `targets`; with none, to all linear
    layers. `attention` names an implementation, None leaves it to transformers. Raises
    `UsageError` if the model or the adapter cannot be loaded, or a target is not in the model.
    """
    try:
        base = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=torch.float32, attn_implementation=attention
        )
        if adapter is not None:
            return PeftModel.from_pretrained(base, adapter, is_trainable=True)
        _check_targets(base, model_dir, targets)
        config = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            target_modules=list(targets) or "all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(base, config)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{adapter or model_dir}: cannot be loaded: {error}") from error


def _check_targets(base: torch.nn.Module, model_dir: Path, targets: tuple[str, ...]) -> None:
    linear = [name for name, m in base.named_modules() if isinstance(m, torch.nn.Linear)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise UsageError(
                f"--lora-target: {model_dir} has no linear layer {target!r}; it has {known}"
            )


def publish_adapter(
    model: PeftModel, directory: Path, version: int, manifest: dict[str, Any]
) -> Path:
    """Write `directory/v00001` so that it is never seen half-written; return its path.

    Raises `SimiaError` if the disk says no.
    """
    final = directory / f"v{version:05}"
    partial = directory / f".v{version:05}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        model.save_pretrained(str(partial))
        (partial / "simia_manifest.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
        )
        for file in partial.iterdir():
            _sync(file)
        os.rename(partial, final)
        _sync(directory)
    except OSError as error:
        raise SimiaError(f"{final}: the adapter could not be written: {error}") from error
    return final


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
