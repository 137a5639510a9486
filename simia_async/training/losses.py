"""Losses, each over the tokens that the policy spoke.

Of those that learn from rewards, `RECIPES` says in what they differ. Where they deviate from their
papers:

- All: a conversation of many turns stands where the papers have one response. The trainer takes
  `minibatches` optimizer steps on the rollouts of a step, and gradients are scaled down to norm 1.
  Ratios are to the probabilities that the engine sampled with, or, with an `importance_cap`, to
  those that the trainer itself finds before the step; then each token's gain is weighted by how
  much likelier the trainer finds it than the engine, up to the cap (truncated importance
  sampling, https://fengyao.notion.site/off-policy-rl). Rollouts without a reward, stale ones, and
  groups whose rewards are all the same are left out, and counted.
- grpo (DeepSeekMath, arXiv 2402.03300): the standard deviation is that of the group's rewards
  themselves. The mean over rollouts is over those of the minibatch that are learnt from. No KL
  term, unless `kl_coefficient` is set.
- dr_grpo (arXiv 2503.20783): tokens are divided by the number that a minibatch of the step has on
  average, instead of by the limit of a response, which not every endpoint tells. The clip range is
  that of dapo.
- dapo (arXiv 2503.14476): groups without variance are left out, but no others are played in their
  place. The tokens that the overlong punishment counts are those of the whole conversation, and it
  is off unless `overlong_buffer` is set.
- rloo (arXiv 2402.14740): ratios are those of tokens, not of whole responses, so that the gradient
  is the paper's in the first optimizer step only. Sums over tokens are divided as in dr_grpo, by
  the same number for all, where the paper divides by the number of responses. A KL term, if there
  is one, is part of the loss, where the paper takes it off the reward.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import torch
import torch.nn.functional as F
from peft import PeftModel

from simia_async.config import GrpoConfig
from simia_async.errors import UsageError
from simia_async.training.samples import Batch

_ENTROPIES_AT_ONCE = 1024
"""Tokens; more would need as much memory again as their logits do."""


class Recipe(msgspec.Struct, frozen=True):
    """What makes one loss of the family differ from another."""

    leave_one_out: bool
    """Whether a rollout is compared with the mean of the others, instead of that of its group."""
    by_std: bool
    """Whether advantages are divided by their group's standard deviation."""
    mean_of: Literal["rollouts", "tokens", "constant"]
    """What counts alike: each rollout, each token of a minibatch, each token of the step."""
    clip_low: float
    clip_high: float


RECIPES = {
    "grpo": Recipe(
        leave_one_out=False, by_std=True, mean_of="rollouts", clip_low=0.2, clip_high=0.2
    ),
    "dr_grpo": Recipe(
        leave_one_out=False, by_std=False, mean_of="constant", clip_low=0.2, clip_high=0.28
    ),
    "dapo": Recipe(
        leave_one_out=False, by_std=True, mean_of="tokens", clip_low=0.2, clip_high=0.28
    ),
    "rloo": Recipe(
        leave_one_out=True, by_std=False, mean_of="constant", clip_low=math.inf, clip_high=math.inf
    ),
}


def recipe_of(config: GrpoConfig) -> Recipe:
    """The recipe of the configured loss, with what is set for itself in its place."""
    stated = {
        "by_std": config.normalise_by_std,
        "clip_low": config.clip_low,
        "clip_high": config.clip_high,
    }
    own = {name: value for name, value in stated.items() if value is not None}
    return msgspec.structs.replace(RECIPES[config.loss], **own)


def spoken_logits(
    model: PeftModel, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The model's logits for the N spoken tokens of a batch, these tokens, and where they stand."""
    spoken_bt = batch.mask_bt > 0
    # Only the spoken positions go through the output layer; padding is on the right, where causal
    # attention keeps it from mattering.
    inner: Any = model.get_base_model()
    apart: dict[str, Any] = {}
    if batch.lengths is not None:
        apart = {"position_ids": batch.positions_bt, "sample_lengths": batch.lengths}
        apart["shared_start"] = batch.shared
    states = inner.get_decoder()(input_ids=batch.inputs_bt, use_cache=False, **apart)
    logits_nv = inner.get_output_embeddings()(states.last_hidden_state[spoken_bt]).float()
    return logits_nv, batch.targets_bt[spoken_bt], spoken_bt


def spoken_logprobs(model: PeftModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the N spoken tokens of a batch under the model, and where they stand."""
    logits_nv, targets_n, spoken_bt = spoken_logits(model, batch)
    return -F.cross_entropy(logits_nv, targets_n, reduction="none"), spoken_bt


def sft_loss(model: PeftModel, batch: Batch) -> tuple[torch.Tensor, int]:
    """Sum of the negative log-likelihood of the spoken tokens, and how many there are."""
    logprobs_n, _ = spoken_logprobs(model, batch)
    return -logprobs_n.sum(), logprobs_n.numel()


def sampled_logprobs(
    model: PeftModel, batch: Batch, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the N spoken tokens where they are sampled at a temperature above 0, and
    the logits that they come from, (N, V).
    """
    logits_nv, targets_n, _ = spoken_logits(model, batch)
    if temperature != 1:
        logits_nv = logits_nv / temperature
    return -F.cross_entropy(logits_nv, targets_n, reduction="none"), logits_nv


@torch.no_grad()
def entropies(logits_nv: torch.Tensor) -> torch.Tensor:
    """Entropy of each of N distributions over V tokens, in nats."""
    pieces = torch.split(logits_nv, _ENTROPIES_AT_ONCE)
    return torch.cat([_entropy(F.log_softmax(piece, dim=-1)) for piece in pieces])


def _entropy(logprobs_nv: torch.Tensor) -> torch.Tensor:
    return -(logprobs_nv.exp() * logprobs_nv).sum(dim=-1)


def k3(log_ratios_n: torch.Tensor) -> torch.Tensor:
    """Estimate of KL(p || q) from each of N tokens that p sampled, by their log q - log p.

    Never negative. Source: http://joschu.net/blog/kl-approx.html
    """
    return torch.expm1(log_ratios_n) - log_ratios_n


def importance(proximal_n: torch.Tensor, behaviour_n: torch.Tensor, cap: float) -> torch.Tensor:
    """How much likelier N tokens are to the trainer than to the engine, up to `cap`."""
    return (proximal_n - behaviour_n).exp().clamp(max=cap)


def token_weights(recipe: Recipe, lengths: Sequence[int], tokens_a_minibatch: float) -> list[float]:
    """What each token of a rollout counts for in the loss of its minibatch.

    `lengths` are the tokens that each rollout of the minibatch speaks, `tokens_a_minibatch` their
    sum on average over the step's minibatches.
    """
    match recipe.mean_of:
        case "rollouts":
            return [1 / (len(lengths) * length) for length in lengths]
        case "tokens":
            return [1 / sum(lengths)] * len(lengths)
        case "constant":
            return [1 / tokens_a_minibatch] * len(lengths)


class PolicyTerms(msgspec.Struct, frozen=True):
    """The loss of a batch, and what its N tokens say of the step."""

    loss: torch.Tensor
    ratios_n: torch.Tensor
    is_clipped_n: torch.Tensor
    """Whether the ratio lies outside the clip range."""


def policy_loss(
    logprobs_n: torch.Tensor,
    old_n: torch.Tensor,
    advantages_n: torch.Tensor,
    weights_n: torch.Tensor,
    *,
    clip_low: float,
    clip_high: float,
    importance_n: torch.Tensor | None = None,
    reference_n: torch.Tensor | None = None,
    kl_coefficient: float = 0.0,
) -> PolicyTerms:
    """Clipped policy-gradient loss (PPO, arXiv 1707.06347) over N spoken tokens.

    `old_n` are the log-probabilities that ratios are to, `weights_n` what each token counts for,
    `importance_n` what its gain is weighted by. Where there are log-probabilities of a reference,
    `kl_coefficient` times the k3 estimate of KL(policy || reference) is added.
    """
    ratios_n = (logprobs_n - old_n).exp()
    clipped_n = ratios_n.clamp(1 - clip_low, 1 + clip_high)
    gains_n = torch.minimum(ratios_n * advantages_n, clipped_n * advantages_n)
    if importance_n is not None:
        gains_n = importance_n * gains_n
    if reference_n is not None:
        gains_n = gains_n - kl_coefficient * k3(reference_n - logprobs_n)
    loss = -(weights_n * gains_n).sum()
    return PolicyTerms(loss, ratios_n.detach(), (ratios_n != clipped_n).detach())


def clip_gradients(parameters: list[torch.nn.Parameter], limit: float = 1.0) -> float:
    """Scale the gradients to a norm of at most `limit`; return the norm they had.

    Raises `UsageError` if it is not finite, before anything is learnt from it.
    """
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
    if not math.isfinite(norm):
        raise UsageError("the gradient is not finite; lower the learning rate")
    return norm
