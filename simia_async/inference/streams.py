"""Answers as server-sent events, while they come."""

from typing import Any

import msgspec
from aiohttp import web

from simia_async.inference.chat_answers import ChatAnswer
from simia_async.inference.choices import Choices
from simia_async.inference.completion_answers import CompletionAnswer
from simia_async.inference.refusals import error_body, failed


async def stream(
    request: web.Request,
    choices: Choices,
    answer: CompletionAnswer | ChatAnswer,
    *,
    wants_usage: bool,
) -> web.StreamResponse:
    """Send all of an answer. An error on the way is an event of its own, for the status is sent."""
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    try:
        await response.prepare(request)
        await _send(response, choices, answer, wants_usage=wants_usage)
        await response.write_eof()
    except ConnectionError:
        pass  # the client is gone
    return response


async def _send(
    response: web.StreamResponse,
    choices: Choices,
    answer: CompletionAnswer | ChatAnswer,
    *,
    wants_usage: bool,
) -> None:
    spoken = []
    try:
        for chunk in answer.opening():
            await response.write(_event(chunk))
        async for piece in choices.pieces():
            for chunk in answer.chunks(piece):
                await response.write(_event(chunk))
            if piece.end is not None:
                spoken.append(piece.end)
        if wants_usage:
            spoken.sort(key=lambda choice: choice.index)
            await response.write(_event(answer.usage_chunk(spoken)))
    except ConnectionError:
        raise
    except Exception as error:
        await response.write(_event(error_body(500, failed(error))))
    await response.write(b"data: [DONE]\n\n")


def _event(body: Any) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
