"""A step's rollouts, laid out as minibatches of batches that go through the model together."""

import random
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
import torch

from simia_async.config import GrpoConfig
from simia_async.training.division import own_batches
from simia_async.training.groups import Rollout
from simia_async.training.losses import recipe_of, token_weights
from simia_async.training.processes import ALONE, Processes
from simia_async.training.samples import Batch, as_batch, as_packed_row, split_in_batches

_SILENT = Rollout(0, [0, 0], [0, 0], sampled=[], logprobs=[], advantage=0.0, staleness=0)
"""Teaches nothing."""


class StepBatch(msgspec.Struct, frozen=True):
    """Some rollouts of a minibatch, and for each of their N spoken tokens what its loss needs."""

    rollouts: list[Rollout]
    batch: Batch
    behaviour_n: torch.Tensor
    advantages_n: torch.Tensor
    weights_n: torch.Tensor
    proximal_n: torch.Tensor | None = None
    """Log-probabilities under the policy before the step."""
    reference_n: torch.Tensor | None = None
    """Log-probabilities under the policy that the run began with."""

    def check_ids(self) -> None:
        """Fail unless exactly the ids that were sampled are learnt from."""
        learnt = self.batch.targets_bt[self.batch.mask_bt > 0].tolist()
        assert learnt == [token for rollout in self.rollouts for token in rollout.sampled]


Minibatch = list[StepBatch]
"""The batches of one optimizer step."""


def lay_out(
    rollouts: Sequence[Rollout],
    config: GrpoConfig,
    step: int,
    device: torch.device,
    processes: Processes = ALONE,
) -> list[Minibatch]:
    """The minibatches of a step, each as batches of at most `config.tokens_per_batch` tokens; of
    several `processes` each has its share of every minibatch.

    Which rollouts are together depends on nothing but these, the seed and the step.
    """
    order = list(rollouts)
    random.Random(f"{config.seed}/{step}").shuffle(order)
    minibatches = list(_slices(order, config.minibatches))
    tokens = sum(len(rollout.sampled) for rollout in order)
    return [
        list(_batches(minibatch, config, tokens / len(minibatches), device, processes))
        for minibatch in minibatches
    ]


def _slices(rollouts: list[Rollout], count: int) -> Iterator[list[Rollout]]:
    """`rollouts` in `count` parts of nearly equal size; empty parts are left out."""
    for part in range(min(count, len(rollouts))):
        yield rollouts[part::count]


def _batches(
    minibatch: list[Rollout],
    config: GrpoConfig,
    tokens_a_minibatch: float,
    device: torch.device,
    processes: Processes,
) -> Iterator[StepBatch]:
    spoken = [len(rollout.sampled) for rollout in minibatch]
    weights = token_weights(recipe_of(config), spoken, tokens_a_minibatch)
    lengths = [len(rollout.ids) for rollout in minibatch]
    arrange = as_packed_row if config.packing else as_batch
    split = partial(
        split_in_batches, tokens_per_batch=config.tokens_per_batch, packing=config.packing
    )
    for indices in own_batches(lengths, processes, split):
        members = [minibatch[index] for index in indices] or [_SILENT]
        counts = torch.tensor([len(rollout.sampled) for rollout in members])
        advantages = torch.tensor([rollout.advantage for rollout in members])
        each = [weights[index] for index in indices] or [0.0]
        weights_n = torch.tensor(each).repeat_interleave(counts)
        yield StepBatch(
            members,
            arrange(members).on(device),
            torch.tensor([logprob for rollout in members for logprob in rollout.logprobs]).to(
                device
            ),
            advantages.repeat_interleave(counts).to(device),
            weights_n.to(device),
        )
