"""What an endpoint is asked with: a key from the environment, or a Microsoft Entra token."""

import os
from collections.abc import Mapping
from typing import Self

from simia_async.clients.entra import EntraTokens
from simia_async.clients.transport import Answer
from simia_async.config import Endpoint
from simia_async.errors import UsageError

_SHORTEST_SECRET = 8
"""Characters. Shorter "keys", such as `none`, are words that answers may hold."""
_REMEMBERED = 4
"""Tokens that answers under way may still echo."""


class Credentials:
    """Made by `Credentials.of`. The key is in here and in the headers, and nowhere else."""

    def __init__(self, key: str | None, told: str, tokens: EntraTokens | None = None) -> None:
        self.key = key
        self.told = told
        """Where the key is from and whether there is one, for complaints."""
        self._tokens = tokens
        self._secrets: list[bytes] = []
        self._remember(key)

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """The credentials of an endpoint; local servers need none.

        Raises `UsageError` if the variable holds what no HTTP header can, or Entra is asked for
        without the package for it.
        """
        if endpoint.credential == "entra":
            return cls(None, "a Microsoft Entra token", EntraTokens())
        variable = endpoint.api_key_env
        key = os.environ.get(variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{variable}: holds characters that no key has")
        return cls(key or None, f"key from {variable}: {'set' if key else 'not set'}")

    @property
    def expire(self) -> bool:
        """Whether each request has to ask for its `token`."""
        return self._tokens is not None

    async def token(self) -> str:
        """A token that is still good. Raises `EndpointError` if there is none to be had."""
        assert self._tokens is not None
        token = await self._tokens.token()
        if token != self.key:
            self.key = token
            self._remember(token)
        return token

    def censored(self, answer: Answer) -> Answer:
        """The answer without the key: a provider may echo it, anywhere."""
        body = self.censor(answer.body)
        if answer.status < 300:
            return answer if body is answer.body else Answer(answer.status, answer.headers, body)
        return Answer(answer.status, self.censored_headers(answer.headers), body)

    def censored_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The same for headers alone."""
        return {
            name: self.censor(value.encode()).decode(errors="replace")
            for name, value in headers.items()
        }

    def censor(self, text: bytes) -> bytes:
        """`text` without the key; the same object if it is not in there."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "…".encode())
        return text

    async def close(self) -> None:
        """Let go of what the credentials hold open."""
        if self._tokens is not None:
            await self._tokens.close()

    def _remember(self, secret: str | None) -> None:
        if secret and len(secret) >= _SHORTEST_SECRET:
            self._secrets = [secret.encode(), *self._secrets][:_REMEMBERED]
