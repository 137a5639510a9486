"""What a call costs: the endpoint's own prices, or those of a library that keeps them."""

import msgspec

from simia_async.clients.wire import Usage
from simia_async.config import Endpoint

_PER_MILLION = 1_000_000


class Prices(msgspec.Struct, frozen=True, gc=False):
    """USD for a million tokens. Higher tiers for long contexts are not counted."""

    tokens_in: float
    tokens_out: float
    tokens_cached: float

    def cost_usd(self, usage: Usage) -> float:
        """Price of one call."""
        fresh = max(0, usage.tokens_in - usage.tokens_cached)
        total = (
            fresh * self.tokens_in
            + usage.tokens_cached * self.tokens_cached
            + usage.tokens_out * self.tokens_out
        )
        return total / _PER_MILLION


def prices_of(endpoint: Endpoint) -> Prices | None:
    """The endpoint's prices; None where neither it nor the library knows them.

    Slow the first time: it imports the library. Models served by oneself (vLLM, Ollama) have none.
    """
    into, out = endpoint.usd_per_million_in, endpoint.usd_per_million_out
    cached = endpoint.usd_per_million_cached
    if into is None or out is None:
        listed = _listed(endpoint)
        if listed is None:
            return None
        into = listed.tokens_in if into is None else into
        out = listed.tokens_out if out is None else out
        cached = listed.tokens_cached if cached is None else cached
    return Prices(into, out, into if cached is None else cached)


def _listed(endpoint: Endpoint) -> Prices | None:
    if endpoint.provider in ("vllm", "ollama") or not endpoint.model:
        return None
    import genai_prices

    def price(**tokens: int) -> float:
        usage = genai_prices.Usage(**tokens)
        return float(
            genai_prices.calc_price(
                usage, model_ref=endpoint.model or "", provider_api_url=endpoint.base_url
            ).total_price
        )

    # Few enough tokens to be in the lowest tier.
    try:
        return Prices(
            price(input_tokens=1000) * 1000,
            price(output_tokens=1000) * 1000,
            price(input_tokens=1000, cache_read_tokens=1000) * 1000,
        )
    except LookupError:
        return None
