"""What a transport gives back, and what it says when it cannot."""

import socket
import ssl
from collections.abc import Mapping
from typing import Protocol

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

        Raises `EndpointUnavailable` where sending again may help, `EndpointRefused` where it will
        not, and `BadReply` for what is no HTTP.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def explain(error: Exception, url: URL, timeout_s: float, host: str | None = None) -> EndpointError:
    """The error that says what happened, and whether asking again may help.

    `host` is whom it happened with, if not the URL's.
    """
    who = host or url.host
    match error:
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return EndpointUnavailable(f"{url}: cannot be reached: {who} cannot be looked up now")
        case socket.gaierror() | UnicodeError():
            return EndpointRefused(f"{url}: cannot be reached: no such host: {who}")
        case ssl.SSLCertVerificationError():
            return EndpointRefused(
                f"{url}: the certificate of {who} is not trusted: {error.verify_message}"
            )
        case ssl.SSLError():
            hint = ""
            if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error):
                hint = "; it seems to speak no TLS: should the URL begin with http://?"
            return EndpointRefused(f"{url}: no secure connection: {error.reason or error}{hint}")
        case TimeoutError():
            late = EndpointUnavailable(f"{url}: no answer within {timeout_s:g} s")
            late.overloaded = True
            return late
        case _:
            why = str(error) or type(error).__name__
            return EndpointUnavailable(f"{url}: connection failed: {why}")
