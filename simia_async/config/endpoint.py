"""Where a model is reached, how hard it may be asked, and what it costs."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from simia_async.config.bounds import at_least_one, positive
from simia_async.errors import ConfigError

SCRIPTED = "scripted-simulator"
"""Name of the embedded simulator as a model. Rule-based, not an LLM."""

Provider = Literal["openai", "azure", "vllm", "ollama"]
Credential = Literal["key", "entra"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An OpenAI-compatible base URL and a model. Without a base URL: the embedded scripted
    simulator.

    The key itself is never held here, so it cannot reach the store or a log: only the name of the
    environment variable it is read from.
    """

    base_url: str | None = None
    model: str | None = None
    """Name of the model; for Azure that of the deployment."""
    provider: Provider = "openai"
    """Whose dialect the endpoint speaks."""
    api_key_env: str = "OPENAI_API_KEY"
    credential: Credential = "key"
    """`entra`: a Microsoft Entra token instead of a key (Azure; extra `azure`)."""
    api_version: str | None = None
    """Azure's dated API, which has a path a deployment; None: its `/openai/v1` API."""
    max_in_flight: int = 64
    """Calls at once, at most; fewer where the endpoint cannot take as many."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    """Quota; None: learnt from the endpoint's `x-ratelimit-*` headers, else no limit."""
    timeout_s: float = 300.0
    """Limit of one attempt."""
    retry_budget_s: float = 120.0
    """Time from the first failure of a call to its last retry: no connection, time-out, 5xx."""
    rate_limit_budget_s: float = 600.0
    """The same for 429."""
    malformed_attempts: int = 3
    """Attempts after which an endpoint that keeps breaking the protocol is believed."""
    max_backoff_s: float = 20.0
    """Longest wait of ours between two attempts; the endpoint may ask for longer."""
    temperature: float | None = None
    """None: the endpoint's own default."""
    max_tokens: int | None = None
    """Limit of one answer; None: the endpoint's own."""
    reasoning_effort: ReasoningEffort | None = None
    """How hard a reasoning model thinks; None: its own default."""
    usd_per_million_in: float | None = None
    usd_per_million_out: float | None = None
    usd_per_million_cached: float | None = None
    """Prices of a million tokens; None: those of the price library, if it knows the model."""

    def __post_init__(self) -> None:
        if self.base_url and not self.model:
            raise ConfigError("--base-url also needs --simulator-model: which model to ask there")
        if self.model and not self.base_url:
            raise ConfigError(
                "--simulator-model also needs --base-url (or OPENAI_BASE_URL): where that model is"
            )
        at_least_one("max_in_flight", self.max_in_flight)
        at_least_one("malformed_attempts", self.malformed_attempts)
        for name in ("requests_per_minute", "tokens_per_minute"):
            if (value := getattr(self, name)) is not None:
                positive(name, value)
        if self.base_url:
            _check_url(self.base_url)


def _check_url(base_url: str) -> None:
    """Settings are stored with the run, so a URL may hold no secret."""
    parts = urlsplit(base_url)
    if parts.username or parts.password:
        raise ConfigError(
            "base_url: holds a user name or password, which would be stored with the run; put the "
            "key into an environment variable and name it with --api-key-env"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base_url: found {base_url!r}; expected http://… or https://…")
