"""The hot path's transport: HTTP/1.1 on asyncio's own protocols, parsed by httptools.

aiohttp's client costs several times as much per request. This one does less: no redirects, no
cookies, no proxies, no streaming, one origin. What it does not do, `streaming` does with aiohttp.
"""

import asyncio
import gzip
import socket
import ssl
from collections.abc import Mapping
from typing import cast

import httptools
from yarl import URL

from simia_async.clients.transport.answer import Answer, explain
from simia_async.errors import BadReply

_IDLE_S = 60.0
"""An idle connection older than this is not trusted any more."""
_ADDRESSES_GOOD_S = 60.0
_CONNECT_TIMEOUT_S = 30.0


class _Lost(ConnectionError):
    """The connection ended before its answer did."""

    def __init__(self, *, answered: bool) -> None:
        super().__init__("the connection was closed")
        self.answered = answered
        """Whether the answer had begun."""


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.is_open = False
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def exchange(self, head: bytes, body: bytes, answer: asyncio.Future[Answer]) -> None:
        """Send a request; `answer` gets its answer, or `_Lost`."""
        assert self._transport is not None
        self._answer = answer
        self._begun = False
        self._transport.writelines((head, body))

    def abort(self) -> None:
        """Close at once, whatever is still under way."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.is_open = False
        self._fail(_Lost(answered=self._begun))

    def data_received(self, data: bytes) -> None:
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BadReply(f"not HTTP: {error}"))
            self.abort()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._headers, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 200:
            return  # informational: the answer is still to come
        self.is_open = self.is_open and self._parser.should_keep_alive()
        answer, self._answer = self._answer, None
        if answer is None:
            self.is_open = False  # nobody asked for this
        elif not answer.done():
            answer.set_result(Answer(status, self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)


class PooledTransport:
    """Connections to one origin, as many as are asked for: the governor says how many."""

    def __init__(self, origin: URL, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._host = origin.host or ""
        self._port = origin.port or (443 if origin.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if origin.scheme == "https" else None
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._addresses: list[str] = []
        self._addresses_until = 0.0
        self._heads: dict[tuple[str, URL, int], bytes] = {}

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """As `Transport` says."""
        head = self._head(method, url, headers, body)
        try:
            while True:
                connection, reused = await self._connection()
                try:
                    answer = await self._exchange(connection, head, body or b"")
                except _Lost as error:
                    # A server may close an idle connection in the very moment it is used again.
                    # Nothing was answered, so nothing was done: once more, on a new one.
                    if reused and not error.answered:
                        continue
                    raise
                return _decoded(answer)
        except OSError as error:
            raise explain(error, url, self._timeout_s) from error

    async def close(self) -> None:
        """Close all connections."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        # Transports close themselves in the loop's next round.
        await asyncio.sleep(0)

    def _head(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
        key = (method, url, id(headers))
        known = self._heads.get(key)
        if known is None:
            lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.raw_authority}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            known = "\r\n".join([*lines, "Content-Length: "]).encode("latin-1")
            if len(self._heads) > 32:
                self._heads.clear()  # headers that change with every token
            self._heads[key] = known
        return known + b"%d\r\n\r\n" % len(body or b"")

    async def _exchange(self, connection: _Connection, head: bytes, body: bytes) -> Answer:
        answer: asyncio.Future[Answer] = self._loop.create_future()
        timer = self._loop.call_later(self._timeout_s, _time_out, answer)
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
        return received

    async def _connection(self) -> tuple[_Connection, bool]:
        """A connection, and whether it has been used before. The youngest first."""
        too_old = self._loop.time() - _IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > too_old:
                return connection, True
            connection.abort()
        return await self._connect(), False

    async def _connect(self) -> _Connection:
        failure: OSError | None = None
        for address in await self._resolve():
            try:
                async with asyncio.timeout(min(_CONNECT_TIMEOUT_S, self._timeout_s)):
                    _, connection = await self._loop.create_connection(
                        _Connection,
                        address,
                        self._port,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls else None,
                    )
                return connection
            except OSError as error:
                failure = error
        raise failure or OSError(f"no address for {self._host}")

    async def _resolve(self) -> list[str]:
        """Addresses of the host; asked for again after a while, and when none is known."""
        if self._loop.time() > self._addresses_until:
            found = await self._loop.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
            self._addresses = [str(entry[4][0]) for entry in found]
            self._addresses_until = self._loop.time() + _ADDRESSES_GOOD_S
        return self._addresses


def _time_out(answer: asyncio.Future[Answer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _decoded(answer: Answer) -> Answer:
    """The answer with its compression undone; we ask for none, but some servers insist."""
    if answer.headers.get("content-encoding") != "gzip":
        return answer
    try:
        return Answer(answer.status, answer.headers, gzip.decompress(answer.body))
    except (OSError, EOFError) as error:
        raise BadReply(f"a body that is not the gzip it claims to be: {error}") from error
