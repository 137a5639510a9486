"""The transport on aiohttp: what goes through a proxy, and answers that are read as they come."""

import asyncio
import ssl
from collections.abc import Mapping
from io import BytesIO

import aiohttp
import anyio
from yarl import URL

from simia_async.clients.transport.answer import Answer, explain
from simia_async.errors import BadReply, EndpointError, EndpointRefused, EndpointUnavailable

_KEEPALIVE_S = 60.0
_PROXY_WANTS_A_KEY = 407


class AiohttpTransport:
    """Connections kept open, as many as are asked for: the governor says how many."""

    def __init__(self, timeout_s: float, proxy: URL | None = None) -> None:
        self._timeout_s = timeout_s
        self._proxy = proxy
        self._opened: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:  # most clients never need one
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self._proxy,
            )
        return self._opened

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """As `Transport` says."""
        stream = await self.open(method, url, headers, body)
        try:
            return await stream.whole()
        finally:
            stream.close()

    async def open(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> "Stream":
        """Send, and give the response as soon as its headers are there; whoever asked closes it.

        Raises as `request` does.
        """
        # As a file, because aiohttp warns of long bodies that are not one.
        data = None if body is None else BytesIO(body)
        sent = {**headers, "Content-Length": str(len(body or b""))}
        try:
            response = await self._session.request(
                method,
                url,
                data=data,
                headers=sent,
                allow_redirects=False,
                ssl=self._trust() if url.scheme == "https" else True,
            )
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            failure = _explain(error, url, self._timeout_s)
        else:
            return Stream(response, url, self._timeout_s)
        # Not from within the handler: aiohttp's errors hold the request's headers, and so the key.
        raise failure

    def _trust(self) -> ssl.SSLContext:
        # aiohttp's own was made when it was imported, whatever the environment says now.
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    async def close(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            with anyio.CancelScope(shield=True):
                await self._opened.close()
                # Transports close themselves in the loop's next round.
                await asyncio.sleep(0)


class Stream:
    """An HTTP response whose body is still coming."""

    def __init__(self, response: aiohttp.ClientResponse, url: URL, timeout_s: float) -> None:
        self.url = url
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._timeout_s = timeout_s

    async def whole(self) -> Answer:
        """The response as a whole, once it is there. Raises as `read` does."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return Answer(self.status, self.headers, b"".join(pieces))

    async def read(self) -> bytes:
        """What has come since; empty at the end. Raises `EndpointError`."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            failure = _explain(error, self.url, self._timeout_s)
        raise failure

    def close(self) -> None:
        """Let go of the connection; it is used again only if the response is over."""
        self._response.release()


def _explain(error: Exception, url: URL, timeout_s: float) -> EndpointError:
    """As `explain`, for what aiohttp wraps its errors in. Quotes nothing that was sent."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return explain(error.certificate_error, url, timeout_s)
        case aiohttp.ClientProxyConnectionError():
            why = error.os_error.strerror or "no connection"
            return EndpointUnavailable(
                f"{url}: the proxy {error.host}:{error.port} cannot be reached: {why}"
            )
        case aiohttp.ClientConnectorError():
            return explain(error.os_error, url, timeout_s, error.host)
        case aiohttp.ClientHttpProxyError():
            return _refused_by_proxy(error, url)
        case aiohttp.ClientResponseError():
            return BadReply(f"{url}: not HTTP")
        case aiohttp.InvalidURL():
            return EndpointRefused(f"{url}: is not a URL")
        case aiohttp.ClientPayloadError():
            return EndpointUnavailable(f"{url}: connection failed: the answer breaks off")
        case aiohttp.ServerDisconnectedError():
            return EndpointUnavailable(f"{url}: connection failed: the server closed it")
        case _:
            return explain(error, url, timeout_s)


def _refused_by_proxy(error: aiohttp.ClientHttpProxyError, url: URL) -> EndpointError:
    said = f"{url}: the proxy refuses to connect: HTTP {error.status}"
    if error.status == _PROXY_WANTS_A_KEY:
        return EndpointRefused(f"{said}; it wants a user name and password in its URL")
    kind = EndpointUnavailable if error.status >= 500 else EndpointRefused
    return kind(said)
