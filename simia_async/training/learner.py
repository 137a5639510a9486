"""A model that learns from conversations that are told: gradients of batches, optimizer steps."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from simia_async.config import SftConfig
from simia_async.errors import UsageError
from simia_async.training.adapted import AdaptedModel
from simia_async.training.division import own_batches
from simia_async.training.losses import sft_loss
from simia_async.training.not_finite import keep_offending
from simia_async.training.processes import ALONE, Processes
from simia_async.training.samples import (
    SILENT,
    Batch,
    SftSample,
    as_batch,
    as_packed_row,
    split_in_batches,
)


class Learner(AdaptedModel):
    """A model with its optimizer, whose betas are torch's defaults."""

    def __init__(
        self, config: SftConfig, model: Any, out: Path, processes: Processes = ALONE
    ) -> None:
        super().__init__(
            model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            processes=processes,
        )
        self._config = config
        self._out = out

    def learn(
        self, step: int, batches: Sequence[Sequence[SftSample]], rate: float
    ) -> dict[str, float]:
        """Take one optimizer step on the mean loss of all spoken tokens of `batches`.

        Raises `UsageError` if the loss or the gradient is not finite, before anything is learnt
        from it; what the step was to learn from is written down.
        """
        self.set_rate(rate)
        with keep_offending(self._out, step, batches, self.processes):
            loss, tokens = self.accumulate_gradients(batches)
            norm = self.clip_gradients(self._config.max_grad_norm)
        self.take_step()
        return {"loss": loss, "grad_norm": norm, "tokens": float(tokens), "learning_rate": rate}

    def accumulate_gradients(self, batches: Sequence[Sequence[SftSample]]) -> tuple[float, int]:
        """Add up the gradients of the mean loss of all spoken tokens, as far as they are this
        process's; return it and their number, both of all processes.

        Raises `UsageError` if the loss is not finite.
        """
        tokens = sum(sample.spoken for batch in batches for sample in batch)
        mean = 0.0
        for batch in self._own(batches):
            loss = sft_loss(self.model, self._lay_out(batch))[0] / max(tokens, 1)
            loss.backward()  # type: ignore[no-untyped-call]
            mean += loss.item()
        mean = self.processes.sum(mean)
        if not math.isfinite(mean):
            raise UsageError("the loss is not finite; lower the learning rate")
        return mean, tokens

    def evaluate(self, batches: Sequence[Sequence[SftSample]]) -> float:
        """Mean loss of all spoken tokens; nothing is learnt. Raises `UsageError` if not finite."""
        total, tokens = 0.0, 0
        with torch.no_grad():
            for batch in self._own(batches):
                loss, spoken = sft_loss(self.model, self._lay_out(batch))
                total += loss.item()
                tokens += spoken
        total, tokens = self.processes.sum(total), round(self.processes.sum(tokens))
        if not math.isfinite(total):
            raise UsageError("the loss on what was held out is not finite; lower the learning rate")
        return total / tokens

    def _own(self, batches: Sequence[Sequence[SftSample]]) -> Sequence[Sequence[SftSample]]:
        """This process's part of the batches; alone it has all, as they are."""
        if self.processes.count == 1:
            return batches
        config, samples = self._config, [sample for batch in batches for sample in batch]
        own = own_batches(
            [len(sample.ids) for sample in samples],
            self.processes,
            partial(
                split_in_batches,
                tokens_per_batch=config.tokens_per_batch,
                packing=config.packing,
            ),
        )
        return [[samples[index] for index in batch] or [SILENT] for batch in own]

    def _lay_out(self, samples: Sequence[SftSample]) -> Batch:
        lay_out = as_packed_row if self._config.packing else as_batch
        return lay_out(samples).on(self.device)
