"""What differs between endpoints that all claim to speak OpenAI's protocol.

Sources: https://platform.openai.com/docs/api-reference/chat/create and
https://learn.microsoft.com/azure/ai-foundry/openai/reference for Azure's two forms of URL.
"""

import re
from collections.abc import Mapping
from typing import Any

from yarl import URL

from simia_async.config import Endpoint
from simia_async.errors import EndpointError, EndpointRefused

_THINKS = re.compile(r"(?:^|/)(?:o\d|gpt-5(?!.*chat))")
"""OpenAI's names of reasoning models, which know `max_completion_tokens` only."""
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|unrecognized|unknown (?:name|field|parameter)|extra inputs|"
    r"not permitted|does not support",
    re.IGNORECASE,
)


class Dialect:
    """URLs, headers and parameters of one endpoint. Learns from refusals which it does not know."""

    def __init__(self, endpoint: Endpoint) -> None:
        assert endpoint.base_url is not None
        self._endpoint = endpoint
        self._renamed: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._weaker: dict[str, Any] = {}
        if endpoint.provider in ("openai", "azure") and _THINKS.search(endpoint.model or ""):
            self._renamed["max_tokens"] = "max_completion_tokens"
        self._defaults: dict[str, Any] = {
            name: value
            for name in ("temperature", "max_tokens", "reasoning_effort")
            if (value := getattr(endpoint, name)) is not None
        }

    def url(self, path: str) -> URL:
        """Where `path`, such as `/chat/completions`, is found."""
        base = URL((self._endpoint.base_url or "").rstrip("/"), encoded=True)
        if self._endpoint.provider == "azure":
            if base.path in ("", "/"):
                base = base.joinpath("openai") if self._endpoint.api_version else base / "openai/v1"
            if self._endpoint.api_version:
                if path != "/models":
                    base = base / "deployments" / (self._endpoint.model or "")
                return base.joinpath(*path.strip("/").split("/")).with_query(
                    {"api-version": self._endpoint.api_version}
                )
        return URL(str(base) + path, encoded=True)

    def headers(self, key: str | None) -> dict[str, str]:
        """Headers of a request; `key` is an API key, or an Entra token."""
        headers = {"Content-Type": "application/json"}
        if key and self._endpoint.provider == "azure" and self._endpoint.credential == "key":
            headers["api-key"] = key
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def parameters(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters as this endpoint knows them, with the endpoint's defaults."""
        if not (self._defaults or self._renamed or self._dropped or self._weaker):
            return given
        return {
            self._renamed.get(name, name): self._weaker.get(name, value)
            for name, value in {**self._defaults, **given}.items()
            if name not in self._dropped
        }

    def learn(self, refusal: EndpointError, given: Mapping[str, Any]) -> bool:
        """Whether a call was refused for a parameter that it can do without.

        From now on it does. `given` is what `parameters` was given.
        """
        if not (isinstance(refusal, EndpointRefused) and refusal.status == 400):
            return False
        if not (
            refusal.code in ("unsupported_parameter", "unsupported_value")
            or _UNSUPPORTED.search(str(refusal))
        ):
            return False
        name = self._named_in(refusal, {**self._defaults, **given})
        if name is None:
            return False
        if name == "max_tokens" and "max_completion_tokens" in str(refusal):
            self._renamed[name] = "max_completion_tokens"
        elif name == "response_format" and self._weaker.get(name) is None and _has_schema(given):
            self._weaker[name] = {"type": "json_object"}
        else:
            self._dropped.add(name)
        return True

    def _named_in(self, refusal: EndpointRefused, given: Mapping[str, Any]) -> str | None:
        """Which of our parameters the refusal is about; None if none, or one already left out."""
        for name in given:
            sent = self._renamed.get(name, name)
            about = refusal.param.split(".")[0] == sent if refusal.param else False
            named = re.search(rf"\b{re.escape(sent)}\b", str(refusal)) is not None
            if (about or (refusal.param is None and named)) and name not in self._dropped:
                return name
        return None


def _has_schema(given: Mapping[str, Any]) -> bool:
    form = given.get("response_format")
    return isinstance(form, dict) and form.get("type") == "json_schema"
