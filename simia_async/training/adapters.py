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


def attach_adapter(model_dir: Path, adapter: Path | None, rank: int) -> PeftModel:
    """The base model with a trainable adapter: a fresh one, or a copy of `adapter`.

    Raises `UsageError` if the model or the adapter cannot be loaded.
    """
    try:
        base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
        if adapter is not None:
            return PeftModel.from_pretrained(base, adapter, is_trainable=True)
        config = LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        return get_peft_model(base, config)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"{adapter or model_dir}: cannot be loaded: {error}") from error


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
