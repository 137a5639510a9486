"""Losses, each over the tokens that the policy spoke.

Deviations from the papers: advantages are centred but not divided by the group's standard
deviation, as in Dr. GRPO (arXiv 2503.20783); every spoken token of a step weighs the same,
whatever its rollout's length, and the clip range is asymmetric, as in DAPO (arXiv 2503.14476).
There is no KL term yet.
"""

import math
from typing import Any

import msgspec
import torch
import torch.nn.functional as F
from peft import PeftModel

from simia_async.errors import UsageError
from simia_async.training.samples import Batch


class GrpoTerms(msgspec.Struct, frozen=True):
    """The loss of a batch, and sums over its tokens to report."""

    loss: torch.Tensor
    tokens: int
    clipped: int
    """Tokens whose ratio lies outside the clip range."""
    kl: float
    """Sum of the k3 estimate of KL(behaviour || policy)."""


def spoken_logprobs(model: PeftModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the N spoken tokens of a batch under the model, and where they stand."""
    spoken_bt = batch.mask_bt > 0
    # Only the spoken positions go through the output layer; padding is on the right, where causal
    # attention keeps it from mattering.
    inner: Any = model.get_base_model()
    apart: dict[str, Any] = {}
    if batch.lengths is not None:
        apart = {"position_ids": batch.positions_bt, "sample_lengths": batch.lengths}
    states = inner.get_decoder()(input_ids=batch.inputs_bt, use_cache=False, **apart)
    logits_nv = inner.get_output_embeddings()(states.last_hidden_state[spoken_bt]).float()
    return -F.cross_entropy(logits_nv, batch.targets_bt[spoken_bt], reduction="none"), spoken_bt


def sft_loss(model: PeftModel, batch: Batch) -> tuple[torch.Tensor, int]:
    """Sum of the negative log-likelihood of the spoken tokens, and how many there are."""
    logprobs_n, _ = spoken_logprobs(model, batch)
    return -logprobs_n.sum(), logprobs_n.numel()


def grpo_loss(
    logprobs_n: torch.Tensor,
    behaviour_n: torch.Tensor,
    advantages_n: torch.Tensor,
    *,
    clip_low: float,
    clip_high: float,
    normaliser: float,
) -> GrpoTerms:
    """Clipped policy-gradient loss (PPO, arXiv 1707.06347) over N spoken tokens.

    `normaliser` is the number of tokens that the step's sum is divided by.
    """
    log_ratios_n = logprobs_n - behaviour_n
    ratios_n = log_ratios_n.exp()
    clipped_n = ratios_n.clamp(1 - clip_low, 1 + clip_high)
    gains_n = torch.minimum(ratios_n * advantages_n, clipped_n * advantages_n)
    with torch.no_grad():
        outside = int((ratios_n != clipped_n).sum())
        kl = float((ratios_n - 1 - log_ratios_n).sum())
    return GrpoTerms(-gains_n.sum() / normaliser, logprobs_n.numel(), outside, kl)


def clip_gradients(parameters: list[torch.nn.Parameter], limit: float = 1.0) -> float:
    """Scale the gradients to a norm of at most `limit`; return the norm they had.

    Raises `UsageError` if it is not finite, before anything is learnt from it.
    """
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
    if not math.isfinite(norm):
        raise UsageError("the gradient is not finite; lower the learning rate")
    return norm
