"""What a GRPO step measures of itself."""

import statistics
from collections.abc import Sequence

import torch

from simia_async.training.groups import Rollout
from simia_async.training.losses import PolicyTerms, entropies, k3
from simia_async.training.processes import ALONE, Processes
from simia_async.training.step_batches import StepBatch

_QUANTILES = {"ratio_p01": 0.01, "ratio_p50": 0.5, "ratio_p99": 0.99}


class StepMeasures:
    """Adds up what the batches of a step say; `values` are means over its tokens or updates, those
    of all processes.
    """

    def __init__(self, processes: Processes = ALONE) -> None:
        self._processes = processes
        self._losses: list[float] = []
        """Of each optimizer step."""
        self._norms: list[float] = []
        self._ratios: list[torch.Tensor] = []
        self._clipped = 0
        self._sums: dict[str, float] = {}
        """Over tokens."""

    def add_batch(
        self,
        batch: StepBatch,
        terms: PolicyTerms,
        logprobs_n: torch.Tensor,
        logits_nv: torch.Tensor,
    ) -> None:
        """Take down one batch, before the optimizer step that it is part of."""
        logprobs_n = logprobs_n.detach()
        self._ratios.append(terms.ratios_n.cpu())
        self._clipped += int(terms.is_clipped_n.sum())
        self._add("kl", k3(logprobs_n - batch.behaviour_n))
        self._add("entropy", entropies(logits_nv))
        if batch.reference_n is not None:
            self._add("kl_reference", k3(batch.reference_n - logprobs_n))

    def add_update(self, loss: float, grad_norm: float) -> None:
        """Take down one optimizer step."""
        self._losses.append(loss)
        self._norms.append(grad_norm)

    def _add(self, name: str, values_n: torch.Tensor) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(values_n.double().sum())

    def values(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """The measures by name; `rollouts` are those of the step that are learnt from.

        `kl` is the k3 estimate of KL(behaviour || policy), `kl_reference` that of KL(policy ||
        reference). Where nothing is learnt from, `trained` is 0, and so are `loss` and `kl`; what
        has no mean is left out.
        """
        ratios_n = self._processes.joined(torch.cat([torch.zeros(0), *self._ratios]))
        tokens = len(ratios_n)
        counts = {"trained": float(len(rollouts)), "tokens": float(tokens)}
        if not tokens:
            return counts | {"loss": 0.0, "kl": 0.0}
        stale = [float(rollout.staleness) for rollout in rollouts]
        return {
            **counts,
            **{n: self._processes.sum(total) / tokens for n, total in self._sums.items()},
            **_quantiles(ratios_n),
            "clip_fraction": self._processes.sum(self._clipped) / tokens,
            "loss": statistics.fmean(self._losses),
            "grad_norm": statistics.fmean(self._norms),
            "staleness": statistics.fmean(stale),
            "staleness_max": max(stale),
            "advantage_std": statistics.pstdev(rollout.advantage for rollout in rollouts),
            "response_tokens": tokens / len(rollouts),
        }


def _quantiles(ratios_n: torch.Tensor) -> dict[str, float]:
    """Each is a ratio that there is."""
    ordered = ratios_n.sort().values
    last = len(ordered) - 1
    return {name: float(ordered[round(share * last)]) for name, share in _QUANTILES.items()}
