"""Microsoft Entra tokens, from the package azure-identity."""

import anyio

from simia_async.errors import EndpointError, EndpointRefused, EndpointUnavailable, UsageError

_SCOPE = "https://cognitiveservices.azure.com/.default"
_SENTENCE = 200


class EntraTokens:
    """Tokens of whom the machine runs as. Raises `UsageError` where the package is missing."""

    def __init__(self) -> None:
        try:
            from azure.identity.aio import DefaultAzureCredential, get_bearer_token_provider
        except ImportError:
            raise UsageError(
                "credential: found 'entra', which needs the package azure-identity: "
                "pip install 'simia-async[azure]'"
            ) from None
        self._credential = DefaultAzureCredential()
        self._provide = get_bearer_token_provider(self._credential, _SCOPE)

    async def token(self) -> str:
        """A token that is still good; the provider keeps it until it is not.

        Raises `EndpointRefused` if nobody is signed in, `EndpointUnavailable` where it may pass.
        """
        from azure.core.exceptions import AzureError

        try:
            return await self._provide()
        except AzureError as error:
            failure = _explain(error)
        # Not from within the handler: Azure's errors hold requests and responses.
        raise failure

    async def close(self) -> None:
        """Close its connections."""
        with anyio.CancelScope(shield=True):
            await self._credential.close()


def _explain(error: Exception) -> EndpointError:
    from azure.core.exceptions import ClientAuthenticationError

    why = f"no Microsoft Entra token: {' '.join(str(error).split())[:_SENTENCE]}"
    if isinstance(error, ClientAuthenticationError):
        return EndpointRefused(why)
    return EndpointUnavailable(why)
