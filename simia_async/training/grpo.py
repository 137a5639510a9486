"""GRPO on stored groups, one step at a time."""

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from simia_async.config import GrpoConfig
from simia_async.config.fields import fields_of
from simia_async.errors import UsageError
from simia_async.models import check_adapter, model_directory
from simia_async.training.adapted import AdaptedModel, Tensors
from simia_async.training.adapters import (
    OPTIMIZER,
    publish_adapter,
    version_directory,
)
from simia_async.training.checkpoints import Origin
from simia_async.training.fingerprints import base_fingerprint, data_fingerprint
from simia_async.training.groups import Rules, read_groups
from simia_async.training.grpo_measures import StepMeasures
from simia_async.training.losses import importance, policy_loss, recipe_of, sampled_logprobs
from simia_async.training.not_finite import keep_offending
from simia_async.training.placement import (
    choose_placement,
    repeat_exactly,
)
from simia_async.training.processes import ALONE, Processes
from simia_async.training.schedules import rate_share
from simia_async.training.sft_results import manifest_of
from simia_async.training.step_batches import Minibatch, StepBatch, lay_out
from simia_async.training.trainable import load_trainable

_BETAS = (0.9, 0.95)
_MAX_GRAD_NORM = 1.0
_WEIGHTS = "adapter_model.safetensors"


class GrpoTrainer:
    """A policy with its optimizer, kept over the steps of a run.

    `resume_from` is the directory of a version that a trainer of the same settings published: what
    follows comes out bit for bit as it would have there. Several `processes` have one each, which
    are asked for the same; the first of them writes. Raises `UsageError` for a bad model or
    adapter.
    """

    def __init__(
        self,
        config: GrpoConfig,
        out: Path,
        resume_from: Path | None = None,
        processes: Processes = ALONE,
    ) -> None:
        torch.manual_seed(config.seed)
        model_dir = model_directory(config.model)
        adapter = check_adapter(Path(config.adapter)) if config.adapter else None
        self._config = config
        self._out = out
        self._processes = processes
        self._recipe = recipe_of(config)
        temperature = config.policy.temperature
        self._temperature = 1.0 if temperature is None else temperature
        self._place = choose_placement(config.device, config.dtype, processes)
        repeat_exactly(self._place)
        model = load_trainable(config, model_dir, self._place, adapter, processes=processes)
        self._policy = AdaptedModel(
            model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=_BETAS,
            processes=processes,
        )
        # A fresh adapter changes nothing, so that with one the reference is the base.
        self._reference = self._policy.weights() if config.kl_coefficient else {}
        self._base_sha256 = base_fingerprint(model_dir) if processes.is_first else ""
        self._parent = config.adapter
        self._manifest: dict[str, Any] = {}
        if resume_from is not None:
            self._go_on(resume_from)

    def step(self, data: Path, step: int, version: int) -> dict[str, float]:
        """Learn from the groups of `step`, towards `version`; return what was measured.

        Where nothing is to be learnt from the weights stay as they are, and the counts say why.
        Raises `UsageError` if the store holds what was not sampled, or if a loss or a gradient is
        not finite; what the step was to learn from is then written down.
        """
        started = time.monotonic()
        if self._processes.is_first:
            self._forget_earlier()
        config = self._config
        rate = config.learning_rate * rate_share(
            config.schedule, step, config.steps, config.warm_up
        )
        self._policy.set_rate(rate)
        read = read_groups(data, step, self._rules(version))
        measures = StepMeasures(self._processes)
        minibatches = lay_out(
            read.rollouts, self._config, step, self._policy.device, self._processes
        )
        for minibatch in self._with_fixed_logprobs(minibatches):
            told = [batch.rollouts for batch in minibatch]
            if self._processes.count > 1:
                told = [read.rollouts]  # what others have of the minibatch is not here
            with keep_offending(self._out, step, told, self._processes):
                self._learn(minibatch, measures)
        values = read.counts | measures.values(read.rollouts) | {"learning_rate": rate}
        origin = Origin(self._base_sha256, data_fingerprint(read.rollouts), {})
        self._manifest = manifest_of(self._config, [data], origin, self._place, self._processes) | {
            "config": self._own_settings(),
            "step": step,
            "trained": len(read.rollouts),
        }
        seconds = time.monotonic() - started
        speed = {"train_seconds": seconds, "tokens_per_second": values["tokens"] / seconds}
        return values | speed

    def publish(self, version: int) -> tuple[Path, str | None]:
        """Publish the policy as it is now; return where, and what its parent was.

        A version of this number that a killed session left behind is replaced. Raises `UsageError`
        if the disk says no.
        """
        path = version_directory(self._out, version)
        if self._processes.is_first:
            manifest = {**self._manifest, "version": version, "parent": self._parent}
            shutil.rmtree(path, ignore_errors=True)
            policy = self._policy
            publish_adapter(policy.model, self._out, version, manifest, policy.optimizer_state())
        parent, self._parent = self._parent, str(path)
        return path, parent

    def _own_settings(self) -> dict[str, Any]:
        """The settings of the run, without where its endpoints are."""
        names = [field.name for field in fields_of(GrpoConfig)]
        return {name: getattr(self._config, name) for name in names} | {
            "temperature": self._temperature
        }

    def _rules(self, version: int) -> Rules:
        config, model = self._config, self._policy.model
        context = config.context or model.config.max_position_embeddings
        return Rules(
            version=version - 1,
            max_staleness=config.max_staleness,
            limit=min(context, model.config.max_position_embeddings),
            vocabulary=model.get_input_embeddings().num_embeddings,
            leave_one_out=self._recipe.leave_one_out,
            by_std=self._recipe.by_std,
            overlong_buffer=config.overlong_buffer,
        )

    def _with_fixed_logprobs(self, minibatches: list[Minibatch]) -> list[Minibatch]:
        """The same with the log-probabilities that do not change during the step."""
        if self._config.importance_cap is not None:
            minibatches = self._complete(minibatches, "proximal_n")
        if self._reference:
            with self._as_reference():
                minibatches = self._complete(minibatches, "reference_n")
        return minibatches

    @torch.no_grad()
    def _complete(self, minibatches: list[Minibatch], field: str) -> list[Minibatch]:
        """The same with the model's log-probabilities as `field`."""

        def completed(batch: StepBatch) -> StepBatch:
            logprobs_n, _ = sampled_logprobs(self._policy.model, batch.batch, self._temperature)
            return msgspec.structs.replace(batch, **{field: logprobs_n})

        return [[completed(batch) for batch in minibatch] for minibatch in minibatches]

    @contextmanager
    def _as_reference(self) -> Iterator[None]:
        """The model is the one that the run began with."""
        weights = self._policy.weights()
        self._policy.set_weights(self._reference)
        try:
            yield
        finally:
            self._policy.set_weights(weights)

    def _learn(self, minibatch: Minibatch, measures: StepMeasures) -> None:
        """One optimizer step. Raises `UsageError` before it if loss or gradient is not finite."""
        own = sum(self._add_gradients(batch, measures) for batch in minibatch)
        loss = self._processes.sum(own)
        if not math.isfinite(loss):
            raise UsageError("the loss is not finite; lower the learning rate")
        norm = self._policy.clip_gradients(_MAX_GRAD_NORM)
        self._policy.take_step()
        measures.add_update(loss, norm)

    def _add_gradients(self, batch: StepBatch, measures: StepMeasures) -> float:
        """Add up the gradients of a batch; return its part of the loss."""
        batch.check_ids()
        logprobs_n, logits_nv = sampled_logprobs(self._policy.model, batch.batch, self._temperature)
        old_n, importance_n = batch.behaviour_n, None
        if batch.proximal_n is not None and self._config.importance_cap is not None:
            old_n = batch.proximal_n
            importance_n = importance(old_n, batch.behaviour_n, self._config.importance_cap)
        terms = policy_loss(
            logprobs_n,
            old_n,
            batch.advantages_n,
            batch.weights_n,
            clip_low=self._recipe.clip_low,
            clip_high=self._recipe.clip_high,
            importance_n=importance_n,
            reference_n=batch.reference_n,
            kl_coefficient=self._config.kl_coefficient,
        )
        terms.loss.backward()  # type: ignore[no-untyped-call]
        measures.add_batch(batch, terms, logprobs_n, logits_nv)
        return terms.loss.item()

    def _forget_earlier(self) -> None:
        """Remove the optimizer's state from all versions but the last.

        That of the one before stays until the next step is asked for: whoever asks has noted the
        last version, and will not go on from an earlier one.
        """
        last = Path(self._parent).resolve() if self._parent else None
        for file in self._out.glob(f"v*/{OPTIMIZER}"):
            if file.parent.resolve() != last:
                file.unlink()

    def _go_on(self, version: Path) -> None:
        """Take over weights and optimizer of a version that was published."""
        model = self._policy.model
        weights = _read_tensors(check_adapter(version) / _WEIGHTS)
        optimizer = _read_tensors(version / OPTIMIZER)
        expected = get_peft_model_state_dict(model, save_embedding_layers=False)
        if _shapes(weights) != _shapes(expected):
            raise UsageError(
                f"{version / _WEIGHTS}: holds another adapter than the settings describe (other "
                "modules or another rank); a run goes on with the settings that it began with"
            )
        set_peft_model_state_dict(model, weights)
        self._policy.set_optimizer_state(optimizer)
        self._parent = str(version)


def _read_tensors(file: Path) -> Tensors:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{file}: cannot be read, so the run cannot go on: {error}") from error


def _shapes(tensors: Tensors) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
