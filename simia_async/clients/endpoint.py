"""Where a model is reached, how hard it may be asked, and what it costs."""

import os

import msgspec

from simia_async.errors import UsageError


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An OpenAI-compatible base URL and a model.

    The key itself is never held here, so it cannot reach the store or a log: only the name of the
    environment variable it is read from.
    """

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    max_in_flight: int = 64
    requests_per_minute: float | None = None
    """None: no limit of ours."""
    timeout_s: float = 300.0
    """Limit of one attempt."""
    retry_budget_s: float = 120.0
    """Time from the first failure of a call until it is given up."""
    max_backoff_s: float = 20.0
    """Longest wait of ours between two attempts; the endpoint may ask for longer."""
    usd_per_million_in: float | None = None
    usd_per_million_out: float | None = None
    """Prices of a million tokens; None: not known, and so no cost either."""

    def api_key(self) -> str | None:
        """The key, read now; None where the variable is not set (local servers need none).

        Raises `UsageError` if it holds what no HTTP header can.
        """
        key = os.environ.get(self.api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{self.api_key_env}: holds characters that no key has")
        return key or None

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float | None:
        """Price of a call; None where prices are not known."""
        if self.usd_per_million_in is None or self.usd_per_million_out is None:
            return None
        in_usd, out_usd = tokens_in * self.usd_per_million_in, tokens_out * self.usd_per_million_out
        return (in_usd + out_usd) / 1_000_000
