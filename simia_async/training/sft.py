"""LoRA supervised fine-tuning on stored trajectories."""

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch

from simia_async.config import SftConfig
from simia_async.errors import UsageError
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.frames import Metrics
from simia_async.training.adapters import attach_adapter, publish_adapter
from simia_async.training.attention import PACKED, check_packable
from simia_async.training.losses import clip_gradients, sft_loss
from simia_async.training.samples import (
    Batch,
    SftSample,
    TrainingSample,
    as_batch,
    as_packed_row,
    pack_by_tokens,
    read_sft_samples,
    split_by_tokens,
)
from simia_async.training.schedules import rate_share

Step = list[list[int]]
"""Batches of one optimizer step, as indices of samples."""


def train_sft(
    config: SftConfig,
    data: Path,
    out: Path,
    report: Callable[[Metrics], None],
) -> tuple[Path, int]:
    """Train for `config.epochs` and publish version 1 under `out`; return it and the steps taken.

    Raises `UsageError` for bad data or a bad model, and where a loss or a gradient is not finite.
    """
    torch.manual_seed(config.seed)
    model_dir = model_directory(config.model)
    renderer = Renderer(model_dir)
    model = attach_adapter(
        model_dir,
        None,
        config.lora_rank,
        targets=config.lora_targets,
        attention=PACKED if config.packing else None,
    )
    if config.packing:
        check_packable(model.config, config.model)
    samples, too_long = read_sft_samples(data, renderer, model.config.max_position_embeddings)
    plan = plan_steps(config, [len(sample.ids) for sample in samples])
    learner = Learner(config, model, out)
    tokens = 0
    for number, step in enumerate(plan, 1):
        share = rate_share(config.schedule, number, len(plan), config.warm_up)
        batches = [[samples[index] for index in batch] for batch in step]
        values = learner.learn(number, batches, config.learning_rate * share)
        tokens += int(values["tokens"])
        values |= {"progress": number / len(plan), "too_long": float(too_long)}
        report(Metrics(number, values))
    manifest = {
        "version": 1,
        "base": config.model,
        "parent": None,
        "data": str(data),
        "data_sha256": _fingerprint(samples),
        "samples": len(samples),
        "too_long": too_long,
        "steps": len(plan),
        "tokens": tokens,
        "config": msgspec.to_builtins(config),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
    return publish_adapter(model, out, 1, manifest), len(plan)


def plan_steps(config: SftConfig, lengths: Sequence[int]) -> list[Step]:
    """All steps of a run: each epoch sees every sample once, in an order of its own."""
    split = pack_by_tokens if config.packing else split_by_tokens
    steps: list[Step] = []
    for epoch in range(config.epochs):
        batches = list(split(lengths, config.tokens_per_batch))
        random.Random(f"{config.seed}/{epoch}").shuffle(batches)
        size = config.accumulate
        steps += [batches[first : first + size] for first in range(0, len(batches), size)]
    return steps


class Learner:
    """A model with its optimizer."""

    def __init__(self, config: SftConfig, model: Any, out: Path) -> None:
        self._config = config
        self._model = model
        self._out = out
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def learn(
        self, step: int, batches: Sequence[Sequence[SftSample]], rate: float
    ) -> dict[str, float]:
        """Take one optimizer step on the mean loss of all spoken tokens of `batches`.

        Raises `UsageError` if the loss or the gradient is not finite, before anything is learnt
        from it; what the step was to learn from is written down.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        try:
            loss, tokens = self.accumulate_gradients(batches)
            norm = clip_gradients(self._parameters, self._config.max_grad_norm)
        except UsageError as error:
            kept = _keep_offending(self._out, step, batches)
            raise UsageError(f"step {step}: {error}; what it was to learn is in {kept}") from error
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {"loss": loss, "grad_norm": norm, "tokens": float(tokens), "learning_rate": rate}

    def accumulate_gradients(self, batches: Sequence[Sequence[SftSample]]) -> tuple[float, int]:
        """Add up the gradients of the mean loss of all spoken tokens; return it and their number.

        Raises `UsageError` if the loss is not finite.
        """
        tokens = sum(sample.spoken for batch in batches for sample in batch)
        mean = 0.0
        for batch in batches:
            loss = sft_loss(self._model, self._lay_out(batch))[0] / max(tokens, 1)
            loss.backward()  # type: ignore[no-untyped-call]
            mean += loss.item()
        if not math.isfinite(mean):
            raise UsageError("the loss is not finite; lower the learning rate")
        return mean, tokens

    def _lay_out(self, samples: Sequence[SftSample]) -> Batch:
        if self._config.packing:
            return as_packed_row(samples)
        return as_batch(
            [TrainingSample(s.ids, s.loss_mask, [0.0] * len(s.ids), 0.0) for s in samples]
        )


def _keep_offending(out: Path, step: int, batches: Sequence[Sequence[SftSample]]) -> Path:
    path = out / f"not-finite-step-{step}.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(batches))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _fingerprint(samples: Sequence[SftSample]) -> str:
    """SHA-256 of the trajectories' ids and tokens, in their order."""
    told = hashlib.sha256()
    for sample in samples:
        told.update(msgspec.json.encode(sample))
    return told.hexdigest()
