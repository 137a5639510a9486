"""One token a row, each row with its own settings and random numbers."""

import random
from collections.abc import Sequence

import torch

from simia_async.inference.requests import Drawn, SampleRequest

_ALL = 2.0
"""A share that no sum of probabilities reaches."""


def draw(
    logits_bv: torch.Tensor,
    requests: Sequence[SampleRequest],
    randoms: Sequence[random.Random],
    eos_id: int,
) -> list[Drawn]:
    """A token a row, with what the row's request wants to know of it."""
    temperatures = torch.tensor([request.temperature for request in requests])
    greedy_b = temperatures == 0
    divisors_b1 = torch.where(greedy_b, 1.0, temperatures)[:, None]
    logprobs_bv = torch.log_softmax(logits_bv.float() / divisors_b1, dim=-1)
    narrow = [row for row, request in enumerate(requests) if _is_narrow(request)]
    if narrow:
        logprobs_bv[narrow] = _narrowed(logprobs_bv[narrow], [requests[row] for row in narrow])
    next_b = torch.where(greedy_b, logprobs_bv.argmax(dim=-1), _drawn(logprobs_bv, randoms))
    said_b = logprobs_bv.gather(1, next_b[:, None])[:, 0]
    return [
        Drawn(
            token,
            logprob,
            _likeliest(logprobs_bv[row], request.likeliest) if request.likeliest else [],
            token in request.stop_token_ids or (token == eos_id and not request.ignore_eos),
        )
        for row, (request, token, logprob) in enumerate(
            zip(requests, next_b.tolist(), said_b.tolist(), strict=True)
        )
    ]


def _drawn(logprobs_bv: torch.Tensor, randoms: Sequence[random.Random]) -> torch.Tensor:
    """One uniform number a row, looked up in the row's cumulated probabilities."""
    cumulated_bv = logprobs_bv.double().exp().cumsum(dim=-1)
    uniform_b1 = torch.tensor([[r.random()] for r in randoms], dtype=torch.double)
    found_b1 = torch.searchsorted(cumulated_bv, uniform_b1 * cumulated_bv[:, -1:], right=True)
    return found_b1[:, 0].clamp(max=logprobs_bv.shape[-1] - 1)


def _is_narrow(request: SampleRequest) -> bool:
    return bool(request.temperature and (request.top_k or request.top_p < 1 or request.min_p))


def _narrowed(logprobs_rv: torch.Tensor, requests: Sequence[SampleRequest]) -> torch.Tensor:
    """The distributions over the likeliest tokens alone; at least one stays.

    First `min_p` and `top_k`, then `top_p` of what is left, as vLLM does it.
    """
    tokens = logprobs_rv.shape[-1]
    top_k_r1 = torch.tensor([[min(request.top_k, tokens) or tokens] for request in requests])
    top_p_r1 = torch.tensor([[r.top_p if r.top_p < 1 else _ALL] for r in requests])
    min_p_r1 = torch.tensor([[request.min_p] for request in requests])
    ordered_rv, order_rv = logprobs_rv.sort(dim=-1, descending=True, stable=True)
    dropped_rv = ordered_rv < ordered_rv[:, :1] + min_p_r1.log()
    dropped_rv |= torch.arange(tokens) >= top_k_r1
    kept_rv = torch.log_softmax(ordered_rv.masked_fill(dropped_rv, float("-inf")), dim=-1)
    before_rv = kept_rv.exp().cumsum(dim=-1) - kept_rv.exp()
    dropped_rv = before_rv >= top_p_r1
    dropped_rv[:, 0] = False
    kept_rv = torch.log_softmax(kept_rv.masked_fill(dropped_rv, float("-inf")), dim=-1)
    return torch.empty_like(logprobs_rv).scatter_(1, order_rv, kept_rv)


def _likeliest(logprobs_v: torch.Tensor, count: int) -> list[tuple[int, float]]:
    best = logprobs_v.topk(min(count, logprobs_v.shape[-1]))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
