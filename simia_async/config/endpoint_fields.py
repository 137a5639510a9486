"""Settings that every kind of endpoint has: each declared once, with its bounds and help."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from simia_async.config.secrets import holds_secret, names_a_variable, shown

_ITS_OWN = "the endpoint's own"
_PRICE = "that of the price library, if it knows the model"
_LEARNT = "learnt from the endpoint's headers, else none"

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


BaseUrl = Annotated[
    str,
    Meta(
        description="OpenAI-compatible endpoint of the model.",
        extra={"unset": "OPENAI_BASE_URL, if a model is named", "check": url_problem},
    ),
]
Provider = Literal["openai", "azure", "vllm", "ollama"]
ProviderName = Annotated[Provider, Meta(description="Whose dialect the endpoint speaks.")]
ApiKeyEnv = Annotated[
    str,
    Meta(
        description="Environment variable that holds its key; empty: no key is sent.",
        extra={"check": name_problem},
    ),
]
MaxInFlight = Annotated[
    int,
    Meta(description="Calls at once, at most; fewer where the endpoint cannot take as many.", ge=1),
]
RequestsPerMinute = Annotated[
    float,
    Meta(
        description="Quota of requests a minute.", gt=0, extra={"flag": "--rpm", "unset": _LEARNT}
    ),
]
TokensPerMinute = Annotated[
    float,
    Meta(description="Quota of tokens a minute.", gt=0, extra={"flag": "--tpm", "unset": _LEARNT}),
]
TimeoutS = Annotated[
    float,
    Meta(description="Seconds that one attempt may take.", gt=0, extra={"flag": "--timeout"}),
]
RetryBudgetS = Annotated[
    float,
    Meta(
        description="Seconds from a call's first failure (no connection, time-out, 5xx) to its "
        "last retry.",
        ge=0,
        extra={"flag": "--retry-budget"},
    ),
]
Temperature = Annotated[
    float,
    Meta(description="Sampling temperature of the model.", ge=0, extra={"unset": _ITS_OWN}),
]
MaxOutputTokens = Annotated[
    int,
    Meta(
        description="Tokens of one answer, at most.",
        ge=1,
        extra={"flag": "--max-output-tokens", "unset": _ITS_OWN},
    ),
]
ReasoningEffort = Annotated[
    Literal["none", "minimal", "low", "medium", "high", "xhigh"],
    Meta(description="How hard a reasoning model thinks.", extra={"unset": _ITS_OWN}),
]
UsdIn = Annotated[
    float,
    Meta(
        description="Price of a million tokens in, in US dollars.",
        ge=0,
        extra={"flag": "--usd-in", "unset": _PRICE},
    ),
]
UsdOut = Annotated[
    float,
    Meta(
        description="Price of a million tokens out, in US dollars.",
        ge=0,
        extra={"flag": "--usd-out", "unset": _PRICE},
    ),
]
UsdCached = Annotated[
    float,
    Meta(
        description="Price of a million tokens in that the endpoint had cached.",
        ge=0,
        extra={"flag": "--usd-cached", "unset": _PRICE},
    ),
]
