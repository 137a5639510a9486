"""Where the single roles of a run are asked, where that is not the simulator's endpoint."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from simia_async.config.endpoint import (
    Endpoint,
    Provider,
    ReasoningEffort,
    name_problem,
    url_problem,
)
from simia_async.config.fields import BadSetting, Settings

SCRIPTED_AGENT = "scripted-agent"
"""Name of the embedded agent as a policy. Rule-based, not an LLM; it plays the `mini-*` worlds."""

_INHERITED = "the simulator's"
_OWN = "its own default"

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

    base_url: (
        Annotated[
            str,
            Meta(
                description="OpenAI-compatible endpoint.",
                extra={"flag": "--url", "unset": _INHERITED, "check": url_problem},
            ),
        ]
        | None
    ) = None
    model: Annotated[str, Meta(description="Model.", extra={"unset": _INHERITED})] | None = None
    provider: (
        Annotated[
            Provider,
            Meta(description="Whose dialect the endpoint speaks.", extra={"unset": _INHERITED}),
        ]
        | None
    ) = None
    api_key_env: (
        Annotated[
            str,
            Meta(
                description="Environment variable that holds the key.",
                extra={"unset": _INHERITED, "check": name_problem},
            ),
        ]
        | None
    ) = None
    max_in_flight: (
        Annotated[
            int, Meta(description="Calls at once, at most.", ge=1, extra={"unset": _INHERITED})
        ]
        | None
    ) = None
    requests_per_minute: (
        Annotated[
            float,
            Meta(
                description="Quota of requests a minute.",
                gt=0,
                extra={"flag": "--rpm", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None
    tokens_per_minute: (
        Annotated[
            float,
            Meta(
                description="Quota of tokens a minute.",
                gt=0,
                extra={"flag": "--tpm", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None
    timeout_s: (
        Annotated[
            float,
            Meta(
                description="Seconds that one attempt may take.",
                gt=0,
                extra={"flag": "--timeout", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None
    retry_budget_s: (
        Annotated[
            float,
            Meta(
                description="Seconds from a call's first failure to its last retry.",
                ge=0,
                extra={"flag": "--retry-budget", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None
    temperature: (
        Annotated[
            float, Meta(description="Sampling temperature.", ge=0, extra={"unset": _INHERITED})
        ]
        | None
    ) = None
    max_tokens: (
        Annotated[
            int,
            Meta(
                description="Tokens of one answer, at most.",
                ge=1,
                extra={"flag": "--max-output-tokens", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None
    reasoning_effort: (
        Annotated[
            ReasoningEffort,
            Meta(description="How hard a reasoning model thinks.", extra={"unset": _INHERITED}),
        ]
        | None
    ) = None
    usd_per_million_in: (
        Annotated[
            float,
            Meta(
                description="Price of a million tokens in, in US dollars.",
                ge=0,
                extra={"flag": "--usd-in", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None
    usd_per_million_out: (
        Annotated[
            float,
            Meta(
                description="Price of a million tokens out, in US dollars.",
                ge=0,
                extra={"flag": "--usd-out", "unset": _INHERITED},
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_url and not self.model:
            raise BadSetting(
                "base_url", f"also needs --{self.flag_prefix}-model: which model to ask there"
            )

    def over(self, simulator: Endpoint) -> Endpoint:
        """The role's endpoint: the simulator's, with what is set here in its place.

        Raises `BadSetting` for a model without a place.
        """
        own = {n: v for n, v in msgspec.structs.asdict(self).items() if v is not None}
        if self.model is not None and self.model != simulator.model:
            own = dict.fromkeys(_OF_ANOTHER_MODEL) | own
        return msgspec.structs.replace(simulator, **own)


class UserEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the simulated user."""

    flag_prefix: ClassVar[str] = "user"


class ToolEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the simulated tools."""

    flag_prefix: ClassVar[str] = "tool"


class JudgeEndpoint(RoleEndpoint, frozen=True, kw_only=True):
    """Of the judge."""

    flag_prefix: ClassVar[str] = "judge"


class PolicyEndpoint(Settings, frozen=True, kw_only=True):
    """The policy, where it is not the embedded engine's."""

    flag_prefix: ClassVar[str] = "policy"

    base_url: (
        Annotated[
            str,
            Meta(
                description="OpenAI-compatible endpoint of the policy.",
                extra={
                    "flag": "--url",
                    "unset": "OPENAI_BASE_URL, if a model is named",
                    "check": url_problem,
                },
            ),
        ]
        | None
    ) = None
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
    provider: Annotated[Provider, Meta(description="Whose dialect the endpoint speaks.")] = "openai"
    api_key_env: Annotated[
        str,
        Meta(
            description="Environment variable that holds its key; empty: no key is sent.",
            extra={"check": name_problem},
        ),
    ] = "OPENAI_API_KEY"
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
    max_in_flight: Annotated[int, Meta(description="Calls at once, at most.", ge=1)] = 256
    requests_per_minute: (
        Annotated[
            float,
            Meta(
                description="Quota of requests a minute.",
                gt=0,
                extra={"flag": "--rpm", "unset": "learnt from the endpoint's headers, else none"},
            ),
        ]
        | None
    ) = None
    tokens_per_minute: (
        Annotated[
            float,
            Meta(
                description="Quota of tokens a minute.",
                gt=0,
                extra={"flag": "--tpm", "unset": "learnt from the endpoint's headers, else none"},
            ),
        ]
        | None
    ) = None
    timeout_s: Annotated[
        float,
        Meta(description="Seconds that one attempt may take.", gt=0, extra={"flag": "--timeout"}),
    ] = 300.0
    retry_budget_s: Annotated[
        float,
        Meta(
            description="Seconds from a call's first failure to its last retry.",
            ge=0,
            extra={"flag": "--retry-budget"},
        ),
    ] = 120.0
    temperature: (
        Annotated[float, Meta(description="Sampling temperature.", ge=0, extra={"unset": _OWN})]
        | None
    ) = None
    reasoning_effort: (
        Annotated[
            ReasoningEffort,
            Meta(description="How hard a reasoning model thinks.", extra={"unset": _OWN}),
        ]
        | None
    ) = None
    usd_per_million_in: (
        Annotated[
            float,
            Meta(
                description="Price of a million tokens in, in US dollars.",
                ge=0,
                extra={"flag": "--usd-in", "unset": "that of the price library, if it knows it"},
            ),
        ]
        | None
    ) = None
    usd_per_million_out: (
        Annotated[
            float,
            Meta(
                description="Price of a million tokens out, in US dollars.",
                ge=0,
                extra={"flag": "--usd-out", "unset": "that of the price library, if it knows it"},
            ),
        ]
        | None
    ) = None

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
