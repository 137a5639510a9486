"""Where a model is reached, how hard it may be asked, and what it costs."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from simia_async.config.fields import BadSetting, Settings
from simia_async.config.secrets import holds_secret, names_a_variable, shown

SCRIPTED = "scripted-simulator"
"""Name of the embedded simulator as a model. Rule-based, not an LLM."""

Provider = Literal["openai", "azure", "vllm", "ollama"]
Credential = Literal["key", "entra"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]

_ITS_OWN = "the endpoint's own"
_PRICE = "that of the price library, if it knows the model"


_SECRET_PARAMETER = re.compile(r"key|token|secret|passw|auth|credential|signature|\bsig\b|\bcode\b")


def url_problem(base_url: str) -> str | None:
    """Settings are stored with the run, so a URL may hold no secret, nor may an error show one."""
    if "@" in base_url:
        return _not_here("a user name or password")
    if holds_secret(base_url) or _has_secret_parameter(base_url):
        return _not_here("what looks like a key")
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        usable = usable and base_url.isprintable()
    except ValueError:
        usable = False
    return (
        None
        if usable or not base_url
        else f"found {shown(base_url)}; expected http://… or https://…"
    )


def _has_secret_parameter(base_url: str) -> bool:
    parameters = re.split(r"[?&;#]", base_url)[1:]
    return any(_SECRET_PARAMETER.search(text.partition("=")[0].lower()) for text in parameters)


def _not_here(what: str) -> str:
    return (
        f"holds {what}, which would be stored with the run (not shown); put the key into an "
        "environment variable and name it with --api-key-env (`api_key_env`)"
    )


def name_problem(variable: str) -> str | None:
    """What is wrong with the name of a variable; a key in its place is never shown."""
    if not variable or names_a_variable(variable):
        return None
    return (
        "found something that is not the name of an environment variable (not shown: it may be a "
        "key); put the key into a variable and its name here"
    )


class Endpoint(Settings, frozen=True, kw_only=True):
    """An OpenAI-compatible base URL and a model. Without a base URL: the embedded scripted
    simulator.

    The key itself is never held here, so it cannot reach the store or a log: only the name of the
    environment variable it is read from.
    """

    base_url: (
        Annotated[
            str,
            Meta(
                description="OpenAI-compatible endpoint of the model.",
                extra={"unset": "OPENAI_BASE_URL, if a model is named", "check": url_problem},
            ),
        ]
        | None
    ) = None
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
    provider: Annotated[
        Provider,
        Meta(
            description="Whose dialect the endpoint speaks.", extra={"flag": "--simulator-provider"}
        ),
    ] = "openai"
    api_key_env: Annotated[
        str,
        Meta(
            description="Environment variable that holds its key; empty: no key is sent.",
            extra={"check": name_problem},
        ),
    ] = "OPENAI_API_KEY"
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
    max_in_flight: Annotated[
        int,
        Meta(
            description="Calls at once, at most; fewer where the endpoint cannot take as many.",
            ge=1,
        ),
    ] = 64
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
            description="Seconds from a call's first failure (no connection, time-out, 5xx) to its "
            "last retry.",
            ge=0,
            extra={"flag": "--retry-budget"},
        ),
    ] = 120.0
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
    temperature: (
        Annotated[
            float,
            Meta(
                description="Sampling temperature of the model.",
                ge=0,
                extra={"flag": "--simulator-temperature", "unset": _ITS_OWN},
            ),
        ]
        | None
    ) = None
    max_tokens: (
        Annotated[
            int,
            Meta(
                description="Tokens of one answer, at most.",
                ge=1,
                extra={"flag": "--max-output-tokens", "unset": _ITS_OWN},
            ),
        ]
        | None
    ) = None
    reasoning_effort: (
        Annotated[
            ReasoningEffort,
            Meta(description="How hard a reasoning model thinks.", extra={"unset": _ITS_OWN}),
        ]
        | None
    ) = None
    usd_per_million_in: (
        Annotated[
            float,
            Meta(
                description="Price of a million tokens in, in US dollars.",
                ge=0,
                extra={"flag": "--usd-in", "unset": _PRICE},
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
                extra={"flag": "--usd-out", "unset": _PRICE},
            ),
        ]
        | None
    ) = None
    usd_per_million_cached: (
        Annotated[
            float,
            Meta(
                description="Price of a million tokens in that the endpoint had cached.",
                ge=0,
                extra={"flag": "--usd-cached", "unset": _PRICE},
            ),
        ]
        | None
    ) = None

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
