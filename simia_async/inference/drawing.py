"""One token a row, each row with its own settings and random numbers."""

import random
from collections.abc import Sequence

import torch

from simia_async.inference.requests import SampleRequest


def draw(
    logits_bv: torch.Tensor, requests: Sequence[SampleRequest], randoms: Sequence[random.Random]
) -> tuple[list[int], list[float]]:
    """A token a row, and its log-probability under the distribution it was drawn from."""
    temperatures = torch.tensor([request.temperature for request in requests])
    greedy_b = temperatures == 0
    divisors_b1 = torch.where(greedy_b, 1.0, temperatures)[:, None]
    logprobs_bv = torch.log_softmax(logits_bv.float() / divisors_b1, dim=-1)
    for row, request in enumerate(requests):
        if request.temperature and (request.top_k or request.top_p < 1):
            logprobs_bv[row] = _narrowed(logprobs_bv[row], request.top_k, request.top_p)
    next_b = torch.where(greedy_b, logprobs_bv.argmax(dim=-1), _drawn(logprobs_bv, randoms))
    said_b = logprobs_bv.gather(1, next_b[:, None])[:, 0]
    return next_b.tolist(), said_b.tolist()


def _drawn(logprobs_bv: torch.Tensor, randoms: Sequence[random.Random]) -> torch.Tensor:
    """One uniform number a row, looked up in the row's cumulated probabilities."""
    cumulated_bv = logprobs_bv.double().exp().cumsum(dim=-1)
    uniform_b1 = torch.tensor([[r.random()] for r in randoms], dtype=torch.double)
    found_b1 = torch.searchsorted(cumulated_bv, uniform_b1 * cumulated_bv[:, -1:], right=True)
    return found_b1[:, 0].clamp(max=logprobs_bv.shape[-1] - 1)


def _narrowed(logprobs_v: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """The distribution over the likeliest tokens alone; at least one stays."""
    ordered_v, order_v = logprobs_v.sort(descending=True, stable=True)
    before_v = ordered_v.exp().cumsum(0) - ordered_v.exp()
    dropped_v = before_v >= top_p
    if top_k:
        dropped_v[top_k:] = True
    dropped_v[0] = False
    kept_v = ordered_v.masked_fill(dropped_v, float("-inf"))
    return torch.empty_like(logprobs_v).scatter_(0, order_v, torch.log_softmax(kept_v, dim=-1))
