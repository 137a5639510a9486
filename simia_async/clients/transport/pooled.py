"""The hot path's transport: HTTP/1.1 on asyncio's own protocols, parsed by httptools.

aiohttp's client costs several times as much per request. This one does less: no redirects, no
cookies, no proxies, no streaming, one origin. What it does not do, `plain` does with aiohttp.
"""

import asyncio
import ssl
from collections.abc import Mapping

import anyio
from yarl import URL

from simia_async.clients.transport.addresses import Addresses
from simia_async.clients.transport.answer import Answer, explain
from simia_async.clients.transport.compression import decompressed
from simia_async.clients.transport.connection import Connection, Lost
from simia_async.errors import BadReply

_IDLE_S = 60.0
"""An idle connection older than this is not trusted any more."""
_CONNECT_TIMEOUT_S = 30.0


class _NoConnection(TimeoutError):
    """Nobody answered the attempt to connect."""


class PooledTransport:
    """Connections to one origin, as many as are asked for: the governor says how many."""

    def __init__(self, origin: URL, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._host = origin.raw_host or ""
        self._port = origin.port or (443 if origin.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if origin.scheme == "https" else None
        self._timeout_s = timeout_s
        self._addresses = Addresses(self._host, self._port)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._heads: dict[tuple[str, URL], tuple[Mapping[str, str], bytes]] = {}

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """As `Transport` says."""
        head = self._head(method, url, headers, body)
        deadline = self._loop.time() + self._timeout_s
        try:
            connection = self._reusable()
            if connection is not None:
                try:
                    return await self._exchange(connection, head, body or b"", deadline)
                except Lost as error:
                    # A server may close an idle connection in the very moment it is used again.
                    # Only if nothing was answered may the request be sent once more.
                    if error.answered:
                        raise
            connection = await self._connect(deadline)
            return await self._exchange(connection, head, body or b"", deadline)
        except BadReply as error:
            raise BadReply(f"{url}: {error}") from error.__cause__
        except _NoConnection as error:
            waited = min(_CONNECT_TIMEOUT_S, self._timeout_s)
            raise explain(error, url, waited) from error
        except (OSError, UnicodeError) as error:
            raise explain(error, url, self._timeout_s) from error

    async def close(self) -> None:
        """Close all connections."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        # Transports close themselves in the loop's next round.
        with anyio.CancelScope(shield=True):
            await asyncio.sleep(0)

    def _head(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
        key = (method, url)
        # Kept together with the headers it was made of: a token that is renewed makes new ones.
        known = self._heads.get(key)
        if known is None or known[0] is not headers:
            lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.raw_authority}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            head = "\r\n".join([*lines, "Content-Length: "]).encode("ascii")
            known = self._heads[key] = headers, head
        return known[1] + b"%d\r\n\r\n" % len(body or b"")

    async def _exchange(
        self, connection: Connection, head: bytes, body: bytes, deadline: float
    ) -> Answer:
        answer: asyncio.Future[Answer] = self._loop.create_future()
        timer = self._loop.call_at(deadline, _time_out, answer)
        self._busy.add(connection)
        try:
            connection.exchange(head, body, answer)
            received = await answer
        except BaseException:
            connection.abort()
            raise
        finally:
            timer.cancel()
            self._busy.discard(connection)
        if connection.is_open:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        else:
            connection.abort()
        return decompressed(received)

    def _reusable(self) -> Connection | None:
        """An open connection that has been used before, the youngest; None if there is none."""
        too_old = self._loop.time() - _IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > too_old:
                return connection
            connection.abort()
        return None

    async def _connect(self, deadline: float) -> Connection:
        failure: OSError | None = None
        for address in await self._addresses.all():
            try:
                async with asyncio.timeout_at(
                    min(deadline, self._loop.time() + _CONNECT_TIMEOUT_S)
                ):
                    _, connection = await self._loop.create_connection(
                        Connection,
                        address,
                        self._port,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls else None,
                    )
            except TimeoutError:
                failure = _NoConnection()
            except OSError as error:
                failure = error
            else:
                self._addresses.worked(address)
                return connection
        self._addresses.failed()
        raise failure or OSError(f"no address for {self._host}")


def _time_out(answer: asyncio.Future[Answer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
