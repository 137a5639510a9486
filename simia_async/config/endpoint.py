"""Where a model is reached, how hard it may be asked, and what it costs."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from simia_async.config.endpoint_fields import (
    ApiKeyEnv,
    BaseUrl,
    MaxInFlight,
    MaxOutputTokens,
    Provider,
    ProviderName,
    ReasoningEffort,
    RequestsPerMinute,
    RetryBudgetS,
    Temperature,
    TimeoutS,
    TokensPerMinute,
    UsdCached,
    UsdIn,
    UsdOut,
)
from simia_async.config.fields import BadSetting, Settings

__all__ = ["SCRIPTED", "Credential", "Endpoint", "Provider"]

SCRIPTED = "scripted-simulator"
"""Name of the embedded simulator as a model. Rule-based, not an LLM."""

Credential = Literal["key", "entra"]


class Endpoint(Settings, frozen=True, kw_only=True):
    """An OpenAI-compatible base URL and a model. Without a base URL: the embedded scripted
    simulator.

    The key itself is never held here, so it cannot reach the store or a log: only the name of the
    environment variable it is read from.
    """

    own_flags: ClassVar[Mapping[str, str]] = {
        "provider": "--simulator-provider",
        "temperature": "--simulator-temperature",
    }

    base_url: BaseUrl | None = None
    model: (
        Annotated[
            str,
            Meta(
                description="Model that plays the world; for Azure the name of its deployment.",
                extra={
                    "flag": "--simulator-model",
                    "unset": "the embedded scripted simulator, no LLM",
                },
            ),
        ]
        | None
    ) = None
    provider: ProviderName = "openai"
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY"
    credential: Annotated[
        Credential,
        Meta(description="`entra`: a Microsoft Entra token instead of a key (Azure; extra azure)."),
    ] = "key"
    api_version: (
        Annotated[
            str,
            Meta(
                description="Azure's dated API, which has a path a deployment.",
                extra={"unset": "its /openai/v1 API"},
            ),
        ]
        | None
    ) = None
    max_in_flight: MaxInFlight = 64
    requests_per_minute: RequestsPerMinute | None = None
    tokens_per_minute: TokensPerMinute | None = None
    timeout_s: TimeoutS = 300.0
    retry_budget_s: RetryBudgetS = 120.0
    rate_limit_budget_s: Annotated[
        float,
        Meta(
            description="The same for HTTP 429, in seconds.",
            ge=0,
            extra={"flag": "--rate-limit-budget"},
        ),
    ] = 600.0
    malformed_attempts: Annotated[
        int,
        Meta(
            description="Attempts after which an endpoint that keeps breaking the protocol is "
            "believed.",
            ge=1,
        ),
    ] = 3
    max_backoff_s: Annotated[
        float,
        Meta(
            description="Longest wait of ours between two attempts, in seconds; the endpoint may "
            "ask for longer.",
            ge=0,
            extra={"flag": "--max-backoff"},
        ),
    ] = 20.0
    temperature: Temperature | None = None
    max_tokens: MaxOutputTokens | None = None
    reasoning_effort: ReasoningEffort | None = None
    usd_per_million_in: UsdIn | None = None
    usd_per_million_out: UsdOut | None = None
    usd_per_million_cached: UsdCached | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_url and not self.model:
            raise BadSetting(
                "base_url", "also needs --simulator-model (`model`): which model to ask there"
            )
        if self.model and not self.base_url:
            raise BadSetting(
                "model",
                "also needs --base-url (`base_url`, or OPENAI_BASE_URL): where that model is",
            )
        for name, set_ in (
            ("credential", self.credential == "entra"),
            ("api_version", self.api_version is not None),
        ):
            if set_ and self.provider != "azure":
                raise BadSetting(
                    name, "also needs --simulator-provider azure (`provider`): only Azure has it"
                )
