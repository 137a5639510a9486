"""The plainest server that keeps connections alive: it costs less than those who are measured.

Prints its base URL. For every line on standard input it prints, as JSON, what its answerer says of
the requests since the last time; it ends with standard input.
"""

import asyncio
import json
import sys
from typing import Any, Protocol, cast

import httptools


class Refused(Exception):
    """The rate limit is reached: HTTP 429."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class Answerer(Protocol):
    """What is said, and what was asked."""

    def answer(self, request: bytes) -> tuple[bytes, float]:
        """The body of an answer, and the seconds until it is there. May raise `Refused`."""

    def summary(self) -> dict[str, Any]:
        """Of the requests since the last time."""


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._parser = httptools.HttpRequestParser(self)
        self._request: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._request.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        request = b"".join(self._request)
        self._request.clear()
        if not request:
            # Only a list of models is asked for without a body.
            self._send(b'{"object":"list","data":[]}')
            return
        try:
            body, latency_s = self._answerer.answer(request)
        except Refused as refused:
            self._refuse(refused.retry_after_s)
            return
        if latency_s:
            asyncio.get_running_loop().call_later(latency_s, self._send, body)
        else:
            self._send(body)

    def _refuse(self, retry_after_s: int) -> None:
        error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
        status = f"429 Too Many Requests\r\nRetry-After: {retry_after_s}".encode()
        self._send(json.dumps({"error": error}).encode(), status)

    def _send(self, body: bytes, status: bytes = b"200 OK") -> None:
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        # Whoever asked may have been killed while the answer took its time.
        if not self._transport.is_closing():
            self._transport.writelines((head % (status, len(body)), body))


async def serve(answerer: Answerer) -> None:
    """Serve on loopback until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answerer), "127.0.0.1", 0, backlog=8192)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(answerer.summary()), flush=True)
