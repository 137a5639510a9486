"""What a call costs."""

from simia_async.config import Endpoint


def cost_usd(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> float | None:
    """Price of a call; None where prices are not known."""
    if endpoint.usd_per_million_in is None or endpoint.usd_per_million_out is None:
        return None
    in_usd = tokens_in * endpoint.usd_per_million_in
    return (in_usd + tokens_out * endpoint.usd_per_million_out) / 1_000_000
