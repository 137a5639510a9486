"""Where the single roles of a run are asked, where that is not the simulator's endpoint."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from simia_async.config.endpoint import Endpoint
from simia_async.config.endpoint_fields import (
    ApiKeyEnv,
    BaseUrl,
    MaxInFlight,
    MaxOutputTokens,
    ProviderName,
    ReasoningEffort,
    RequestsPerMinute,
    RetryBudgetS,
    Temperature,
    TimeoutS,
    TokensPerMinute,
    UsdIn,
    UsdOut,
)
from simia_async.config.fields import BadSetting, Settings

SCRIPTED_AGENT = "scripted-agent"
"""Name of the embedded agent as a policy. Rule-based, not an LLM; it plays the `mini-*` worlds."""

_OF_ANOTHER_MODEL = (
    "requests_per_minute",
    "tokens_per_minute",
    "usd_per_million_in",
    "usd_per_million_out",
    "usd_per_million_cached",
    "max_tokens",
    "temperature",
    "reasoning_effort",
)
"""What an endpoint says of its model, and so not of another."""

CallStyle = Literal["native", "hermes", "llama3"]


class RoleEndpoint(Settings, frozen=True, kw_only=True):
    """What differs from the simulator's endpoint for one role. All of it may be left out."""

    own_unset: ClassVar[Mapping[str, str]] = {"": "the simulator's"}

    base_url: BaseUrl | None = None
    model: Annotated[str, Meta(description="Model of the role.")] | None = None
    provider: ProviderName | None = None
    api_key_env: ApiKeyEnv | None = None
    max_in_flight: MaxInFlight | None = None
    requests_per_minute: RequestsPerMinute | None = None
    tokens_per_minute: TokensPerMinute | None = None
    timeout_s: TimeoutS | None = None
    retry_budget_s: RetryBudgetS | None = None
    temperature: Temperature | None = None
    max_tokens: MaxOutputTokens | None = None
    reasoning_effort: ReasoningEffort | None = None
    usd_per_million_in: UsdIn | None = None
    usd_per_million_out: UsdOut | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_url and not self.model:
            raise BadSetting(
                "base_url", f"also needs --{self.flag_prefix}-model: which model to ask there"
            )

    def over(self, simulator: Endpoint) -> Endpoint:
        """The role's endpoint: the simulator's, with what is set here in its place."""
        own = {n: v for n, v in msgspec.structs.asdict(self).items() if v is not None}
        if self.model is not None and self.model != simulator.model:
            own = dict.fromkeys(_OF_ANOTHER_MODEL) | own
        return msgspec.structs.replace(simulator, **own)


class UserEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the simulated user."""

    flag_prefix: ClassVar[str] = "user"
    own_flags: ClassVar[Mapping[str, str]] = {"base_url": "--user-url"}


class ToolEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the simulated tools."""

    flag_prefix: ClassVar[str] = "tool"
    own_flags: ClassVar[Mapping[str, str]] = {"base_url": "--tool-url"}


class JudgeEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the judge."""

    flag_prefix: ClassVar[str] = "judge"
    own_flags: ClassVar[Mapping[str, str]] = {"base_url": "--judge-url"}


class AuditEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the hidden judge, whose rewards are compared and never learnt from."""

    flag_prefix: ClassVar[str] = "audit-judge"
    own_flags: ClassVar[Mapping[str, str]] = {"base_url": "--audit-judge-url"}


class PolicyEndpoint(Settings, frozen=True, kw_only=True):
    """The policy, where it is not the embedded engine's."""

    flag_prefix: ClassVar[str] = "policy"
    own_flags: ClassVar[Mapping[str, str]] = {"base_url": "--policy-url"}

    base_url: BaseUrl | None = None
    model: (
        Annotated[
            str,
            Meta(
                description=f"Model that acts; {SCRIPTED_AGENT} is the embedded one, by rule.",
                extra={"unset": "the embedded engine, with the model of --model"},
            ),
        ]
        | None
    ) = None
    provider: ProviderName = "openai"
    api_key_env: ApiKeyEnv = "OPENAI_API_KEY"
    calls: Annotated[
        CallStyle,
        Meta(
            description="How the policy writes tool calls: through the protocol, or as text that "
            "the endpoint does not understand."
        ),
    ] = "native"
    tokenizer: (
        Annotated[
            str,
            Meta(
                description="Model directory whose tokenizer renders prompts, so that token ids "
                "are exchanged and stored (vLLM).",
                extra={"unset": "chat completions"},
            ),
        ]
        | None
    ) = None
    max_in_flight: MaxInFlight = 256
    requests_per_minute: RequestsPerMinute | None = None
    tokens_per_minute: TokensPerMinute | None = None
    timeout_s: TimeoutS = 300.0
    retry_budget_s: RetryBudgetS = 120.0
    temperature: Temperature | None = None
    reasoning_effort: ReasoningEffort | None = None
    usd_per_million_in: UsdIn | None = None
    usd_per_million_out: UsdOut | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_url and not self.model:
            raise BadSetting("base_url", "also needs --policy-model (`model`): which to ask there")
        if self.model and not self.base_url and self.model != SCRIPTED_AGENT:
            raise BadSetting(
                "model",
                "also needs --policy-url (`base_url`, or OPENAI_BASE_URL): where that model is",
            )
        if self.tokenizer and not self.base_url:
            raise BadSetting("tokenizer", "also needs --policy-url: the embedded one has its own")

    def as_unplaced(self) -> Endpoint:
        """The same without its model, for one that is embedded and has its place elsewhere."""
        return msgspec.structs.replace(self, model=None).as_endpoint()

    def as_endpoint(self) -> Endpoint:
        """The same, for a client."""
        named = {info.name for info in msgspec.structs.fields(Endpoint)}
        values = msgspec.structs.asdict(self)
        return Endpoint(**{name: value for name, value in values.items() if name in named})
