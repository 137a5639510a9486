"""LoRA supervised fine-tuning on stored trajectories."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from simia_async.config import SftConfig
from simia_async.errors import UsageError
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.frames import Checkpointed, Metrics
from simia_async.training.adapted import Tensors
from simia_async.training.checkpoints import (
    Checkpoint,
    Origin,
    Progress,
    check_origin,
    load_checkpoint,
    random_states,
    remove_checkpoints,
    save_checkpoint,
    set_random_states,
)
from simia_async.training.fingerprints import base_fingerprint, data_fingerprint
from simia_async.training.held_out import hold_out
from simia_async.training.learner import Learner
from simia_async.training.placement import choose_placement, repeat_exactly
from simia_async.training.processes import ALONE, Processes
from simia_async.training.samples import (
    SftData,
    pack_by_tokens,
    read_sft_samples,
    split_by_tokens,
)
from simia_async.training.schedules import rate_share
from simia_async.training.sft_results import Trained, find_trained, manifest_of, publish_trained
from simia_async.training.trainable import load_trainable

Step = list[list[int]]
"""Batches of one optimizer step, as indices of samples."""
Report = Callable[[Metrics], None]


class Wishes:
    """What the owner wishes for between steps: here, nothing."""

    def take_checkpoint(self) -> bool:
        """Whether a checkpoint is wished for that nobody has taken."""
        return False

    def taken(self, checkpoint: Checkpointed) -> None:
        """It stands."""


def train_sft(
    config: SftConfig,
    data: Sequence[Path],
    out: Path,
    report: Report,
    wishes: Wishes | None = None,
    processes: Processes = ALONE,
) -> Trained:
    """Train on the runs `data` for `config.epochs` and publish the adapters under `out`. After each
    step the owner's `wishes` are looked at. Several `processes` call this with the same; the first
    of them writes.

    One that was cut off in `out` goes on from its last checkpoint, and comes out bit for bit as if
    it had not been; of one that was done, what it published is told again. Raises `UsageError` for
    bad data or a bad model, if they are not those that the training in `out` began with, where a
    loss or a gradient is not finite, and if the disk says no.
    """
    torch.manual_seed(config.seed)
    model_dir = model_directory(config.model)
    place = choose_placement(config.device, config.dtype, processes)
    repeat_exactly(place)
    renderer = Renderer(model_dir)
    model = load_trainable(
        config, model_dir, place, targets=config.lora_targets, processes=processes
    )
    read = read_sft_samples(data, renderer, model.config.max_position_embeddings)
    # First, so that settings which do not fit the data leave nothing behind.
    learner = Learner(config, model, out, processes)
    training = _Training(config, learner, read, out, report, wishes or Wishes())
    if processes.is_first:
        origin = Origin(
            base_fingerprint(model_dir), data_fingerprint(read.samples), _shaping(config)
        )
        check_origin(out, origin)
    if (before := find_trained(out)) is not None:
        return before
    try:
        training.run()
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"{place.device_name}: has too little memory; lower --tokens-per-batch, or take "
            "--gradient-checkpointing"
        ) from error
    if processes.is_first:
        manifest = manifest_of(config, data, origin, place, processes)
        manifest |= {"samples": len(training.samples), "held_out": len(training.held_out)}
        manifest |= {"too_long": read.too_long, "unspoken": read.unspoken}
        manifest |= {"steps_planned": len(training.plan)}
        publish_trained(model, training.learner, out, training.progress, training.best, manifest)
        remove_checkpoints(out)
    processes.wait_for_all()
    trained = find_trained(out)
    assert trained is not None
    return trained


def plan_steps(config: SftConfig, lengths: Sequence[int]) -> list[Step]:
    """All steps of a run: each epoch sees every sample once, in an order of its own.

    It depends on nothing but the settings and the lengths.
    """
    steps: list[Step] = []
    order = list(range(len(lengths)))
    for epoch in range(config.epochs):
        rng = random.Random(f"{config.seed}/{epoch}")
        # Rows of other neighbours each time: with the same ones, of like lengths, less is learnt.
        rng.shuffle(order)
        batches = _batches(config, lengths, order)
        rng.shuffle(batches)
        size = config.accumulate
        steps += [batches[first : first + size] for first in range(0, len(batches), size)]
    return steps


def _batches(config: SftConfig, lengths: Sequence[int], order: Sequence[int]) -> list[list[int]]:
    if config.packing:
        return list(pack_by_tokens(lengths, config.tokens_per_batch, order))
    return list(split_by_tokens(lengths, config.tokens_per_batch))


def _shaping(config: SftConfig) -> dict[str, Any]:
    """The settings that what is learnt depends on, as JSON knows them."""
    settings: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    for name in ("store", "launch"):
        del settings[name]
    return settings


class _Training:
    """A run's steps, from where its last checkpoint stands."""

    def __init__(
        self,
        config: SftConfig,
        learner: Learner,
        read: SftData,
        out: Path,
        report: Report,
        wishes: Wishes,
    ) -> None:
        self.learner = learner
        self.samples, self.held_out = hold_out(read.samples, config.eval_share, config.seed)
        self.plan = plan_steps(config, [len(sample.ids) for sample in self.samples])
        self.progress = Progress()
        self.best: Tensors = {}
        """Weights at the best evaluation."""
        self._config = config
        self._out = out
        self._report = report
        self._wishes = wishes
        self._counts = {"too_long": float(read.too_long), "unspoken": float(read.unspoken)}
        lengths = [len(sample.ids) for sample in self.held_out]
        held = _batches(config, lengths, range(len(lengths)))
        self._evaluated = [[self.held_out[index] for index in batch] for batch in held]

    def run(self) -> None:
        """Take the steps that are left."""
        if (checkpoint := load_checkpoint(self._out)) is not None:
            self._go_on(checkpoint)
        # Nobody replaces what another has not read yet.
        self.learner.processes.wait_for_all()
        while self.progress.step < len(self.plan) and not self._has_lost_patience():
            self._take_step(self.progress.step + 1)

    def _take_step(self, number: int) -> None:
        config, total = self._config, len(self.plan)
        batches = [[self.samples[index] for index in batch] for batch in self.plan[number - 1]]
        rate = config.learning_rate * rate_share(config.schedule, number, total, config.warm_up)
        values = self.learner.learn(number, batches, rate)
        self._count(number, values)
        if self.held_out and (number % config.eval_every == 0 or number == total):
            values["eval_loss"] = self._evaluate(number)
        self._report(Metrics(number, values | self._counts | {"progress": number / total}))
        every = config.checkpoint_every
        is_wished = self._wishes.take_checkpoint()
        is_due = is_wished or (every and number % every == 0)
        if number < total and is_due and self.learner.processes.is_first:
            path = self._save()
            if is_wished:
                self._wishes.taken(Checkpointed(number, str(path)))

    def _count(self, number: int, values: dict[str, float]) -> None:
        progress, loss = self.progress, values["loss"]
        progress.step = number
        progress.tokens += int(values["tokens"])
        progress.first_loss = loss if progress.first_loss is None else progress.first_loss
        progress.last_loss = loss
        lowest = progress.lowest_loss
        progress.lowest_loss = loss if lowest is None else min(loss, lowest)

    def _evaluate(self, number: int) -> float:
        loss = self.learner.evaluate(self._evaluated)
        if self.progress.evaluations.add(number, loss):
            self.best = self.learner.weights()
        return loss

    def _has_lost_patience(self) -> bool:
        patience = self._config.patience
        return patience is not None and self.progress.evaluations.without_gain >= patience

    def _save(self) -> Path:
        return save_checkpoint(
            self._out,
            Checkpoint(
                progress=self.progress,
                weights=self.learner.weights(),
                best=self.best,
                optimizer=self.learner.optimizer_state(),
                random=random_states(self.learner.device),
            ),
        )

    def _go_on(self, checkpoint: Checkpoint) -> None:
        self.progress = checkpoint.progress
        self.best = checkpoint.best
        self.learner.set_weights(checkpoint.weights)
        self.learner.set_optimizer_state(checkpoint.optimizer)
        set_random_states(checkpoint.random, self.learner.device)
