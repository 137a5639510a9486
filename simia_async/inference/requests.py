"""What the engine is asked for, and what it gives."""

from collections.abc import Callable

import msgspec

Watch = Callable[[int, float], bool]
"""Told of each token and its log-probability as it is drawn, on the engine's thread; True ends the
turn there."""


class SampleRequest(msgspec.Struct, frozen=True):
    """What to sample: `prompt_ids`, from the base or an adapter by name."""

    prompt_ids: list[int]
    model: str
    max_tokens: int
    temperature: float
    """0 is greedy."""
    seed: int
    top_p: float = 1.0
    """Draw from the likeliest tokens that together have this probability; 1 is all."""
    top_k: int = 0
    """Draw from that many of the likeliest tokens; 0 is all."""
    watch: Watch | None = None


class Sampled(msgspec.Struct, frozen=True):
    """Ids sampled, and the log-probability of each under the distribution it was drawn from.

    That is the distribution after temperature, `top_k` and `top_p` (greedy: the model's own), what
    vLLM calls `processed_logprobs`.
    """

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str
    cached_tokens: int = 0
    """How many tokens of the prompt were not computed anew."""
