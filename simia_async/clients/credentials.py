"""What an endpoint is asked with: a key from the environment, or a Microsoft Entra token."""

import os
from collections.abc import Awaitable, Callable
from typing import Self

from simia_async.config import Endpoint
from simia_async.errors import UsageError

_SCOPE = "https://cognitiveservices.azure.com/.default"


class Credentials:
    """Made by `Credentials.of`. The key is in here and in the headers, and nowhere else."""

    def __init__(
        self,
        key: str | None,
        told: str,
        *,
        token: Callable[[], Awaitable[str]] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.key = key
        self.told = told
        """Where the key is from and whether there is one, for complaints."""
        self._token = token
        self._close = close

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """The credentials of an endpoint; local servers need none.

        Raises `UsageError` if the variable holds what no HTTP header can, or Entra is asked for
        without the package for it.
        """
        if endpoint.credential == "entra":
            return cls._entra()
        variable = endpoint.api_key_env
        key = os.environ.get(variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{variable}: holds characters that no key has")
        return cls(key or None, f"key from {variable}: {'set' if key else 'not set'}")

    @classmethod
    def _entra(cls) -> Self:
        try:
            from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider
        except ImportError:
            raise UsageError(
                "credential: found 'entra', which needs the package azure-identity: "
                "pip install 'simia-async[azure]'"
            ) from None
        credential = DefaultAzureCredential()
        provider = get_bearer_token_provider(credential, _SCOPE)
        return cls(None, "a Microsoft Entra token", token=provider, close=credential.close)

    @property
    def expire(self) -> bool:
        """Whether each request has to ask for its `token`."""
        return self._token is not None

    async def token(self) -> str:
        """A token that is still good; the provider keeps it until it is not."""
        assert self._token is not None
        return await self._token()

    def censor(self, text: str) -> str:
        """`text` without the key: a provider may echo it."""
        return text.replace(self.key, "…") if self.key else text

    async def close(self) -> None:
        """Let go of what the credentials hold open."""
        if self._close is not None:
            await self._close()
