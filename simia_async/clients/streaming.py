"""A chat completion that is read while it is said: server-sent events, put together again.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections import deque

import msgspec

from simia_async.clients.answers import bad_reply, is_web_page, refusal
from simia_async.clients.complaints import read_complaint
from simia_async.clients.credentials import Credentials
from simia_async.clients.openai_errors import catchable
from simia_async.clients.transport import Answer, Stream
from simia_async.clients.wire import (
    NO_USAGE,
    CallBody,
    ChatReply,
    Chunk,
    FunctionBody,
    MessageBody,
    MessageDelta,
    ToolCallDelta,
    Usage,
    read_message,
    usage_of,
)
from simia_async.errors import BadReply, EndpointError, EndpointUnavailable

_DATA = b"data:"
_DONE = b"[DONE]"
_LONGEST_LINE = 2**26
_decode = msgspec.json.Decoder(Chunk).decode


class ChatStream:
    """What a model says, piece by piece: iterate over it. Made by `ChatClient.stream`.

    The pieces are the content's; thoughts and tool calls are in `reply`. Raises `EndpointError`
    where the endpoint fails in the middle.
    """

    def __init__(self, stream: Stream, credentials: Credentials) -> None:
        self.failure: EndpointError | None = None
        """Why it broke off, if it did."""
        self._stream = stream
        self._events = Events(stream, credentials)
        self._assembly = Assembly()
        self._first: str | None = None
        self._is_over = False

    @property
    def usage(self) -> Usage:
        """Tokens, known at the end."""
        return self._assembly.usage

    @property
    def reply(self) -> ChatReply:
        """The whole reply, after the last piece."""
        message = read_message(self._assembly.message())
        return ChatReply(message, self._assembly.finish_reason or "stop", self.usage)

    @property
    def answer(self) -> Answer:
        """Status and headers."""
        return Answer(self._stream.status, self._stream.headers, b"")

    async def begin(self) -> None:
        """Wait for the first word or thought: until then nothing is lost by asking again."""
        self._first = await self._piece(any_kind=True)

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()

    def __aiter__(self) -> "ChatStream":
        return self

    async def __anext__(self) -> str:
        if self.failure is not None:
            raise self.failure
        piece, self._first = self._first, None
        try:
            piece = piece or await self._piece()
        except EndpointError as error:
            self.failure = catchable(error)
            raise self.failure from error.__cause__
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def _piece(self, *, any_kind: bool = False) -> str | None:
        """The next piece of content, or with `any_kind` of anything; None at the end."""
        while not self._is_over:
            chunk = await self._events.next()
            if chunk is None:
                self._end()
                return None
            delta = self._assembly.add(chunk)
            if delta.content or (any_kind and delta != MessageDelta()):
                return delta.content
        return None

    def _end(self) -> None:
        self._is_over = True
        # Some servers never say that they are done, but all say why they stop.
        if not self._events.done and self._assembly.finish_reason is None:
            raise EndpointUnavailable(
                f"{self._stream.url}: the stream ended in the middle of an answer"
            )


class Assembly:
    """What was said so far."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.usage: Usage = NO_USAGE
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, tuple[str, str, list[str]]] = {}

    def add(self, chunk: Chunk) -> MessageDelta:
        """Take in one event; gives what is new in it."""
        if chunk.usage is not None:
            self.usage = usage_of(chunk.usage)
        if not chunk.choices:
            return MessageDelta()
        choice = chunk.choices[0]
        delta = choice.delta or MessageDelta()
        delta.content = delta.content or delta.refusal
        self.finish_reason = choice.finish_reason or self.finish_reason
        if delta.content:
            self._content.append(delta.content)
        if thought := delta.reasoning_content or delta.reasoning:
            self._reasoning.append(thought)
        for call in delta.tool_calls or ():
            self._add_call(call)
        return delta

    def message(self) -> MessageBody:
        """The message as a whole."""
        calls = [
            CallBody(FunctionBody(name, "".join(arguments)), identity)
            for _, (identity, name, arguments) in sorted(self._calls.items())
        ]
        return MessageBody(
            content="".join(self._content) if self._content or not calls else None,
            tool_calls=calls or None,
            reasoning_content="".join(self._reasoning) or None,
        )

    def _add_call(self, delta: ToolCallDelta) -> None:
        index = self._index_of(delta)
        identity, name, arguments = self._calls.get(index, ("", "", []))
        if delta.function is not None:
            name += delta.function.name or ""
            arguments.append(delta.function.arguments or "")
        self._calls[index] = (delta.id or identity, name, arguments)

    def _index_of(self, delta: ToolCallDelta) -> int:
        """Which call a piece belongs to. Where no index says so, a new id begins a new call."""
        if delta.index is not None:
            return delta.index
        last = len(self._calls) - 1
        if last < 0 or (delta.id and delta.id != self._calls[last][0]):
            return last + 1
        return last


class Events:
    """The events of a stream."""

    def __init__(self, stream: Stream, credentials: Credentials) -> None:
        self.done = False
        """Whether the server said that it was."""
        self._stream = stream
        self._credentials = credentials
        self._lines: deque[bytes] = deque()
        self._rest = b""

    async def next(self) -> Chunk | None:
        """The next event; None at the end. Raises `EndpointError`."""
        while (line := await self._line()) is not None:
            if not line.startswith(_DATA):
                continue  # a comment to keep the connection alive, a name, or an empty line
            data = self._credentials.censor(line[len(_DATA) :].strip())
            if data == _DONE:
                self.done = True
                return None
            return self._read(data)
        return None

    def _read(self, data: bytes) -> Chunk:
        stream = self._stream
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            start = data.decode(errors="replace")[:60]
            why = f"not the JSON of a chunk ({error}): {start!r}…"
            raise bad_reply(stream.url, Answer(stream.status, {}, data), why) from error
        if chunk.error is not None:
            complaint = read_complaint(data)
            code = complaint.code
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            raise refusal(stream.url, status, {}, complaint)
        return chunk

    async def _line(self) -> bytes | None:
        while not self._lines:
            piece = await self._stream.read()
            if not piece:
                last, self._rest = self._rest, b""
                return last or None
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._lines.extend(line.rstrip(b"\r") for line in lines)
            if len(self._rest) > _LONGEST_LINE:
                raise BadReply(f"{self._stream.url}: an event without end")
        return self._lines.popleft()


async def check_streams(stream: Stream, credentials: Credentials) -> None:
    """Raise `BadReply` if the response is no stream of events."""
    kind = stream.headers.get("content-type", "")
    if kind.startswith(("text/html", "application/json")):
        answer = credentials.censored(await stream.whole())
        what = "a web page" if is_web_page(answer) else "a whole answer"
        raise bad_reply(stream.url, answer, f"answers with {what}, although a stream was asked for")
