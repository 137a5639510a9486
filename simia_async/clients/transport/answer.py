"""What a transport gives back, and what it says when it cannot."""

import socket
import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import msgspec
from yarl import URL

from simia_async.errors import EndpointError, EndpointRefused, EndpointUnavailable


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole HTTP response. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Sends requests, and keeps connections open for the next ones."""

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Send, and wait for the whole answer, whatever its status.

        Raises `EndpointUnavailable` where sending again may help, and `EndpointRefused` where it
        will not.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def explain(error: Exception, url: URL, timeout_s: float) -> EndpointError:
    """The error that says what happened, and whether asking again may help."""
    match error:
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return EndpointRefused(f"{url}: cannot be reached: no such host: {url.host}")
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            reason = getattr(error, "certificate_error", error)
            return EndpointRefused(f"{url}: its certificate is not trusted: {reason}")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            hint = ""
            if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error):
                hint = "; it seems to speak no TLS: should the URL begin with http://?"
            return EndpointRefused(f"{url}: no secure connection: {error}{hint}")
        case aiohttp.InvalidURL():
            return EndpointRefused(f"{url}: is not a URL")
        case TimeoutError():
            late = EndpointUnavailable(f"{url}: no answer within {timeout_s:g} s")
            late.overloaded = True
            return late
        case _:
            why = str(error) or type(error).__name__
            return EndpointUnavailable(f"{url}: connection failed: {why}")
