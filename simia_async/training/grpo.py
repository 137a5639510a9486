"""GRPO on stored groups, one step at a time."""

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from simia_async.config import GrpoConfig
from simia_async.models import check_adapter, model_directory
from simia_async.training.adapters import attach_adapter, publish_adapter
from simia_async.training.losses import clip_gradients, grpo_loss, spoken_logprobs
from simia_async.training.samples import TrainingSample, as_batch, read_groups, split_by_tokens

_MINIBATCHES = 2
"""Optimizer steps per training step; from the second on, ratios differ from 1 and can clip."""


class GrpoTrainer:
    """A policy with its optimizer, kept over the steps of a run."""

    def __init__(self, config: GrpoConfig, out: Path) -> None:
        torch.manual_seed(config.seed)
        adapter = check_adapter(Path(config.adapter)) if config.adapter else None
        self._config = config
        self._out = out
        self._parent = config.adapter
        self._model = attach_adapter(model_directory(config.model), adapter, config.lora_rank)
        self._parameters = [p for p in self._model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=0.0, betas=(0.9, 0.95)
        )

    def step(self, data: Path, step: int) -> dict[str, float]:
        """Learn from the groups of `step`; return what was measured.

        Where every rollout is masked or every group has zero variance the weights stay as they
        are, and the counts say so.
        """
        started = time.monotonic()
        samples, values = read_groups(data, step)
        totals = {"loss": 0.0, "clipped": 0.0, "kl": 0.0, "tokens": 0.0, "grad_norm": 0.0}
        random.Random(f"{self._config.seed}/{step}").shuffle(samples)
        minibatches = list(_slices(samples, _MINIBATCHES))
        spoken = sum(sum(sample.loss_mask) for sample in samples)
        for minibatch in minibatches:
            self._learn(minibatch, spoken / len(minibatches), totals)
        taken = max(len(minibatches), 1)
        tokens = max(totals["tokens"], 1.0)
        values |= {"trained": float(len(samples)), "tokens": totals["tokens"]}
        values |= {"loss": totals["loss"] / taken, "kl": totals["kl"] / tokens}
        values |= {"clip_fraction": totals["clipped"] / tokens}
        values |= {"grad_norm": totals["grad_norm"] / taken}
        return values | {"train_seconds": time.monotonic() - started}

    def _learn(
        self, samples: Sequence[TrainingSample], normaliser: float, totals: dict[str, float]
    ) -> None:
        """One optimizer step on a minibatch, accumulated over batches that fit."""
        lengths = [len(sample.ids) for sample in samples]
        for indices in split_by_tokens(lengths, self._config.tokens_per_batch):
            batch = as_batch([samples[index] for index in indices])
            logprobs_n, spoken_bt = spoken_logprobs(self._model, batch)
            advantages_bt = batch.advantages_b[:, None].expand_as(batch.mask_bt)
            terms = grpo_loss(
                logprobs_n,
                batch.logprobs_bt[spoken_bt],
                advantages_bt[spoken_bt],
                clip_low=self._config.clip_low,
                clip_high=self._config.clip_high,
                normaliser=normaliser,
            )
            terms.loss.backward()  # type: ignore[no-untyped-call]
            totals["loss"] += terms.loss.item()
            totals["tokens"] += terms.tokens
            totals["clipped"] += terms.clipped
            totals["kl"] += terms.kl
        totals["grad_norm"] += clip_gradients(self._parameters)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def publish(self, version: int) -> tuple[Path, str | None]:
        """Publish the policy as it is now; return where, and what its parent was."""
        manifest = {
            "version": version,
            "base": self._config.model,
            "parent": self._parent,
        }
        path = publish_adapter(self._model, self._out, version, manifest)
        parent, self._parent = self._parent, str(path)
        return path, parent


def _slices(samples: list[TrainingSample], count: int) -> Iterator[list[TrainingSample]]:
    """`samples` in `count` parts of nearly equal size; empty parts are left out."""
    for part in range(count):
        piece = samples[part::count]
        if piece:
            yield piece
