"""One HTTP/1.1 connection of the hot path's transport: bytes out, an answer back."""

import asyncio
from typing import cast

import httptools

from simia_async.clients.transport.answer import Answer
from simia_async.errors import BadReply

_LARGEST_HEAD = 2**20
_LARGEST_BODY = 2**26
"""Bytes. No endpoint means to send as much; what never ends must not fill the memory."""
_TLS_RECORD = (b"\x15\x03", b"\x16\x03")


class Lost(ConnectionError):
    """The connection ended before its answer did."""

    def __init__(self, *, answered: bool) -> None:
        what = "in the middle of its answer" if answered else "without an answer"
        super().__init__(f"the server closed the connection {what}")
        self.answered = answered
        """Whether the answer had begun."""


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.is_open = False
        """Whether another request may be sent."""
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_size = self._body_size = 0
        self._in_body = False

    def exchange(self, head: bytes, body: bytes, answer: asyncio.Future[Answer]) -> None:
        """Send a request; `answer` gets its answer, `Lost` or `BadReply`."""
        assert self._transport is not None
        self._answer = answer
        self._begun = False
        self._head_size = self._body_size = 0
        self._transport.writelines((head, body))

    def abort(self) -> None:
        """Close at once, whatever is still under way."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True

    def eof_received(self) -> None:
        """Called by the loop."""
        self.is_open = False
        # A body without a length ends where the connection does; the parser cannot see that.
        if self._in_body and not (
            "content-length" in self._headers
            or "chunked" in self._headers.get("transfer-encoding", "").lower()
        ):
            self.on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Called by the loop."""
        self.is_open = False
        self._fail(Lost(answered=self._begun))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._answer is None:
            self.abort()  # nobody has asked
            return
        if not self._begun and data.startswith(_TLS_RECORD):
            self._refuse("TLS instead of HTTP; should the URL begin with https://?")
            return
        self._begun = True
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("an answer in another protocol than HTTP")
        except httptools.HttpParserError as error:
            self._refuse(f"not HTTP: {error}")
        if self._body_size > _LARGEST_BODY or (
            self._head_size > _LARGEST_HEAD and not self._in_body
        ):
            self._refuse("an answer without end")

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._headers, self._body = {}, []
        if self._answer is None:
            self.is_open = False  # what follows an answer is the answer to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if not self._in_body:  # there are trailers too
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body.append(body)
        self._body_size += len(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._in_body = False
        status = self._parser.get_status_code()
        if status < 200:
            return  # informational: the answer is still to come
        assert self._transport is not None
        # An answer to half a request is the last one: the other half would be taken for the next.
        sent = self._transport.get_write_buffer_size() == 0
        self.is_open = self.is_open and sent and self._parser.should_keep_alive()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(Answer(status, self._headers, b"".join(self._body)))

    def _refuse(self, why: str) -> None:
        self._fail(BadReply(why))
        self.abort()

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
