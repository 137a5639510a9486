"""A chat completion that is read while it is said: server-sent events, put together again.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import AsyncIterator

import msgspec

from simia_async.clients.credentials import Credentials
from simia_async.clients.transport.plain import Stream
from simia_async.clients.wire import (
    NO_USAGE,
    Chunk,
    MessageBody,
    MessageDelta,
    ToolCallDelta,
    Usage,
    usage_of,
)
from simia_async.errors import BadReply, EndpointUnavailable
from simia_async.messages import FunctionCall, ToolCall

_DATA = b"data:"
_DONE = b"[DONE]"
_decode = msgspec.json.Decoder(Chunk).decode


class Assembly:
    """What was said so far."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.usage: Usage = NO_USAGE
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, tuple[str, str, list[str]]] = {}

    def add(self, chunk: Chunk) -> MessageDelta | None:
        """Take in one event; gives what is new in it."""
        if chunk.usage is not None:
            self.usage = usage_of(chunk.usage)
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        delta = choice.delta
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
            ToolCall(identity, FunctionCall(name, "".join(arguments)))
            for _, (identity, name, arguments) in sorted(self._calls.items())
        ]
        return MessageBody(
            content="".join(self._content) if self._content or not calls else None,
            tool_calls=calls or None,
            reasoning_content="".join(self._reasoning) or None,
        )

    def _add_call(self, delta: ToolCallDelta) -> None:
        identity, name, arguments = self._calls.get(delta.index, ("", "", []))
        if delta.function is not None:
            name += delta.function.name or ""
            arguments.append(delta.function.arguments or "")
        self._calls[delta.index] = (delta.id or identity, name, arguments)


async def read_chunks(stream: Stream, credentials: Credentials) -> AsyncIterator[Chunk]:
    """The events of a stream. Raises `BadReply` for what is none, and `EndpointUnavailable` if the
    stream ends before it says so.
    """
    async for line in stream.lines():
        if not line.startswith(_DATA):
            continue  # a comment to keep the connection alive, or an empty line
        data = line[len(_DATA) :].strip()
        if data == _DONE:
            return
        try:
            yield _decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            start = credentials.censor(data.decode(errors="replace"))[:60]
            raise BadReply(f"not the JSON of a chunk ({error}): {start!r}…") from error
    raise EndpointUnavailable("the stream ended in the middle of an answer")
