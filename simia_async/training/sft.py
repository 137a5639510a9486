"""LoRA supervised fine-tuning on stored trajectories."""

import random
from collections.abc import Callable
from pathlib import Path

import torch

from simia_async.config import SftConfig
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.frames import Metrics
from simia_async.training.adapters import attach_adapter, publish_adapter
from simia_async.training.losses import clip_gradients, sft_loss
from simia_async.training.samples import (
    TrainingSample,
    as_batch,
    read_sft_samples,
    split_by_tokens,
)

_WARM_UP = 10


def train_sft(
    config: SftConfig,
    data: Path,
    out: Path,
    report: Callable[[Metrics], None],
) -> tuple[Path, int]:
    """Train for `config.epochs` and publish version 1 under `out`; return it and the steps taken.

    Raises `UsageError` for bad data or a bad model.
    """
    torch.manual_seed(config.seed)
    model_dir = model_directory(config.model)
    renderer = Renderer(model_dir)
    model = attach_adapter(model_dir, None, config.lora_rank)
    limit: int = model.config.max_position_embeddings
    samples, too_long = read_sft_samples(data, renderer, limit)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
    lengths = [len(sample.ids) for sample in samples]
    plan: list[list[int]] = []
    for epoch in range(config.epochs):
        batches = list(split_by_tokens(lengths, config.tokens_per_batch))
        random.Random(f"{config.seed}/{epoch}").shuffle(batches)
        plan += batches
    for step, indices in enumerate(plan, 1):
        rate = min(1.0, step / _WARM_UP) * (1 - 0.9 * step / len(plan))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate
        batch = as_batch(
            [
                TrainingSample(s.ids, s.loss_mask, [0.0] * len(s.ids), 0.0)
                for s in (samples[index] for index in indices)
            ]
        )
        total, tokens = sft_loss(model, batch)
        loss = total / tokens
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(parameters)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        values = {"loss": loss.item(), "grad_norm": norm, "tokens": float(tokens)}
        values |= {"progress": step / len(plan), "too_long": float(too_long)}
        report(Metrics(step, values))
    manifest = {
        "version": 1,
        "base": config.model,
        "parent": None,
        "data": str(data),
        "samples": len(samples),
        "steps": len(plan),
    }
    return publish_adapter(model, out, 1, manifest), len(plan)
