"""What differs between endpoints that all claim to speak OpenAI's protocol.

Sources: https://platform.openai.com/docs/api-reference/chat/create and
https://learn.microsoft.com/azure/ai-foundry/openai/reference for Azure's two forms of URL.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from yarl import URL

from simia_async.clients.refused_parameters import refused_parameter
from simia_async.config import Endpoint
from simia_async.errors import EndpointError

_THINKS = re.compile(r"(?:^|/)(?:o\d|gpt-5(?!.*chat))")
"""OpenAI's names of reasoning models, which know `max_completion_tokens` only."""

_USER_AGENT = f"simia-async/{version('simia-async')}"


class Dialect:
    """URLs, headers and parameters of one endpoint. Learns from refusals which it does not know."""

    def __init__(self, endpoint: Endpoint) -> None:
        assert endpoint.base_url is not None
        self._endpoint = endpoint
        self._base = URL(endpoint.base_url)
        self._renamed: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._knows_schemas = True
        if endpoint.provider in ("openai", "azure") and _THINKS.search(endpoint.model or ""):
            self._renamed["max_tokens"] = "max_completion_tokens"
        self._defaults: dict[str, Any] = {
            name: value
            for name in ("temperature", "max_tokens", "reasoning_effort")
            if (value := getattr(endpoint, name)) is not None
        }

    def url(self, path: str) -> URL:
        """Where `path`, such as `/chat/completions`, is found."""
        root, query = self._base.raw_path.rstrip("/"), self._base.query.copy()
        if self._endpoint.provider == "azure":
            root = self._azure_root(root, path)
            if self._endpoint.api_version:
                query["api-version"] = self._endpoint.api_version
        return self._base.with_path(root + path, encoded=True).with_query(query)

    def headers(self, key: str | None) -> dict[str, str]:
        """Headers of a request; `key` is an API key, or an Entra token."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            # Firewalls of some endpoints turn away who does not say who he is.
            "User-Agent": _USER_AGENT,
        }
        if key and self._endpoint.provider == "azure" and self._endpoint.credential == "key":
            headers["api-key"] = key
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def parameters(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters as this endpoint knows them, with the endpoint's defaults."""
        if self._knows_schemas and not (self._defaults or self._renamed or self._dropped):
            return given
        shaped = {
            self._renamed.get(name, name): value
            for name, value in {**self._defaults, **given}.items()
            if name not in self._dropped
        }
        if not self._knows_schemas and _is_schema(shaped.get("response_format")):
            shaped["response_format"] = {"type": "json_object"}
        return shaped

    def learn(
        self, refusal: EndpointError, given: Mapping[str, Any], sent: Mapping[str, Any]
    ) -> bool:
        """Whether a call was refused for a parameter that it can do without, so that it is worth
        sending again. `sent` is what `parameters` made of `given` for that call.

        Each True but those for what another call has learnt meanwhile changes the dialect, and
        there is only so much to change: no call goes on for ever.
        """
        name = refused_parameter(refusal, sent)
        if name is None:
            return False
        if self.parameters(given) != sent:
            return True
        if name == "response_format" and _is_schema(sent[name]):
            self._knows_schemas = False
        elif (
            name == "max_tokens"
            and name not in self._renamed
            and "max_completion_tokens" in refusal.detail
        ):
            self._renamed[name] = "max_completion_tokens"
        else:
            self._dropped |= {ours for ours, theirs in self._renamed.items() if theirs == name}
            self._dropped.add(name)
        return True

    def _azure_root(self, root: str, path: str) -> str:
        """Azure's path up to `path`: with a dated API each deployment has one of its own."""
        dated = self._endpoint.api_version is not None
        if root in ("", "/openai"):
            root = "/openai" if dated else "/openai/v1"
        if not dated or root.endswith("/v1"):
            return root
        above, _, deployment = root.partition("/deployments/")
        if path == "/models":
            return above
        return f"{above}/deployments/{deployment or quote(self._endpoint.model or '', safe='')}"


def _is_schema(form: object) -> bool:
    return isinstance(form, dict) and form.get("type") == "json_schema"
