"""The transport on aiohttp: what goes through a proxy, and answers that are read as they come."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from simia_async.clients.transport.answer import Answer, explain

_KEEPALIVE_S = 60.0


class AiohttpTransport:
    """Connections kept open, as many as are asked for: the governor says how many."""

    def __init__(self, timeout_s: float, proxy: str | None = None) -> None:
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy,
        )

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """As `Transport` says."""
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, _lower(response), await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise explain(error, url, self._timeout_s) from error

    @asynccontextmanager
    async def stream(
        self, url: URL, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator["Stream"]:
        """A POST whose answer is read while it comes. Raises as `request` does."""
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                yield Stream(response)
        except (aiohttp.ClientError, OSError) as error:
            raise explain(error, url, self._timeout_s) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        # Transports close themselves in the loop's next round.
        await asyncio.sleep(0)


class Stream:
    """An HTTP response whose body is still coming."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = _lower(response)
        self._response = response

    async def whole(self) -> Answer:
        """The response as a whole, once it is there."""
        return Answer(self.status, self.headers, await self._response.read())

    async def lines(self) -> AsyncIterator[bytes]:
        """The body line by line."""
        buffer = b""
        async for data in self._response.content.iter_any():
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                yield line.rstrip(b"\r")
        if buffer:
            yield buffer


def _lower(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
