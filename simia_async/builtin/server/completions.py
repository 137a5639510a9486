"""What the model says, and the completion that carries it: whole or in a stream."""

import time
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from simia_async.builtin.server.protocol import ChatRequest

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]
ShowReasoning = Literal["reasoning_content", "think"]

_DELTA_CHARACTERS = 24
"""Text in one chunk of a stream."""


class Said(msgspec.Struct, omit_defaults=True):
    """A call of a tool, in wire format."""

    id: str
    name: str
    arguments: str


class Reply(msgspec.Struct):
    """What the model says."""

    content: str | None = None
    tool_calls: list[Said] = []
    reasoning: str = ""
    finish_reason: FinishReason = "stop"

    def message(self, show: ShowReasoning | None = None) -> dict[str, Any]:
        """The reply as a message."""
        message: dict[str, Any] = {"role": "assistant", "content": self.shown_content(show)}
        if show == "reasoning_content" and self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [_call(call) for call in self.tool_calls]
        return message

    def shown_content(self, show: ShowReasoning | None) -> str | None:
        """The content, after the reasoning if that is shown in it."""
        if show == "think" and self.reasoning:
            return f"<think>{self.reasoning}</think>{self.content or ''}"
        return self.content

    def usage(self, prompt_tokens: int) -> dict[str, Any]:
        """Tokens, estimated at four characters each."""
        said = len(self.content or "") + sum(len(c.name + c.arguments) for c in self.tool_calls)
        reasoning_tokens = len(self.reasoning) // 4
        completion_tokens = said // 4 + reasoning_tokens
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
        }


def completion(model: str, text: str, tokens_in: int) -> dict[str, Any]:
    """The body of a completion that says `text`."""
    return whole(Reply(text), model, tokens_in)


def whole(
    reply: Reply, model: str, tokens_in: int, *, number: int = 0, show: ShowReasoning | None = None
) -> dict[str, Any]:
    """The body of a completion. `number` goes into its id."""
    choice = {
        "index": 0,
        "message": reply.message(show),
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }
    return {
        "id": f"chatcmpl-scripted-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": reply.usage(tokens_in),
    }


def events(
    reply: Reply, request: ChatRequest, *, number: int = 0, show: ShowReasoning | None = None
) -> Iterator[bytes]:
    """The server-sent events of a streamed completion, `[DONE]` included."""
    with_usage = bool(request.stream_options and request.stream_options.include_usage)
    head = {
        "id": f"chatcmpl-scripted-{number}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.model,
    }
    # With usage asked for, every chunk has the field, and only the last one has the numbers.
    tail: dict[str, Any] = {"usage": None} if with_usage else {}
    deltas = list(_deltas(reply, show))
    for number_of_delta, delta in enumerate(deltas):
        last = number_of_delta == len(deltas) - 1
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": reply.finish_reason if last else None,
        }
        yield _event({**head, "choices": [choice], **tail})
    if with_usage:
        yield _event({**head, "choices": [], "usage": reply.usage(request.prompt_tokens)})
    yield b"data: [DONE]\n\n"


def _deltas(reply: Reply, show: ShowReasoning | None) -> Iterator[dict[str, Any]]:
    content = reply.shown_content(show)
    yield {"role": "assistant", "content": None if content is None else ""}
    if show == "reasoning_content":
        for piece in _pieces(reply.reasoning):
            yield {"reasoning_content": piece}
    for piece in _pieces(content or ""):
        yield {"content": piece}
    for index, call in enumerate(reply.tool_calls):
        yield {"tool_calls": [{"index": index, **_call(Said(call.id, call.name, ""))}]}
        for piece in _pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    yield {}


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _DELTA_CHARACTERS):
        yield text[start : start + _DELTA_CHARACTERS]


def _call(call: Said) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
