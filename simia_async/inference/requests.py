"""What the engine is asked for, and what it gives."""

from collections.abc import Callable

import msgspec


class Drawn(msgspec.Struct, frozen=True):
    """One token, and its log-probability under the distribution it was drawn from."""

    token: int
    logprob: float
    likeliest: list[tuple[int, float]] = []
    """As many tokens as were asked for with their log-probabilities, the likeliest first."""
    ends: bool = False
    """Whether the turn ends with it because it is the end-of-turn token, or a stop token."""


Watch = Callable[[Drawn], bool]
"""Told of each token as it is drawn, on the engine's thread; True ends the turn there."""


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
    min_p: float = 0.0
    """Draw from tokens that are at least this share as likely as the likeliest; 0 is all."""
    stop_token_ids: frozenset[int] = frozenset()
    """Tokens that end the turn as the end-of-turn token does."""
    ignore_eos: bool = False
    """The end-of-turn token is a token like others."""
    likeliest: int = 0
    """Of how many of the likeliest tokens the log-probabilities are told, at each token."""
    watch: Watch | None = None


class Sampled(msgspec.Struct, frozen=True):
    """What was drawn, the token that ended the turn included.

    Log-probabilities are those after temperature, `min_p`, `top_k` and `top_p` (greedy: the model's
    own), what vLLM calls `processed_logprobs`.
    """

    drawn: list[Drawn]
    finish_reason: str
    cached_tokens: int = 0
    """How many tokens of the prompt were not computed anew."""

    @property
    def token_ids(self) -> list[int]:
        """The tokens."""
        return [drawn.token for drawn in self.drawn]

    @property
    def logprobs(self) -> list[float]:
        """The log-probability of each."""
        return [drawn.logprob for drawn in self.drawn]

    @property
    def said_ids(self) -> list[int]:
        """The tokens without one that ended the turn."""
        ids = self.token_ids
        return ids[:-1] if self.drawn and self.drawn[-1].ends else ids
