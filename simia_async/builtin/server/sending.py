"""Bytes on the wire: an answer as it should be, or as a fault leaves it."""

import asyncio
from collections.abc import Sequence

import msgspec
from aiohttp import web

from simia_async.builtin.server.faults import Fault

_DRIBBLES = 10
"""Pieces of a body that comes slowly."""

_PAGE = b"<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>\n"


class Dropped(Exception):
    """The connection is to be aborted."""


class Payload(msgspec.Struct):
    """An answer: one piece, or the events of a stream."""

    pieces: Sequence[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    fault: Fault | None = None
    slow_body_s: float = 0.0

    @property
    def is_stream(self) -> bool:
        """Whether its length is not told beforehand."""
        return self.content_type == "text/event-stream"


async def send(request: web.Request, payload: Payload) -> web.StreamResponse:
    """Send an answer. Raises `Dropped`, and `ConnectionError` if the client is gone."""
    match payload.fault:
        case "html":
            return await _send_whole(request, payload, _PAGE, "text/html")
        case "truncated" if not payload.is_stream:
            half = payload.pieces[0][: len(payload.pieces[0]) // 2]
            return await _send_whole(request, payload, half, payload.content_type)
        case "truncated":
            return await _send_pieces(request, payload, payload.pieces[: len(payload.pieces) // 2])
        case "drop_mid":
            await _send_half(request, payload)
            raise Dropped
        case "slow_body":
            return await _send_slowly(request, payload)
    if payload.is_stream:
        return await _send_pieces(request, payload, payload.pieces)
    return await _send_whole(request, payload, payload.pieces[0], payload.content_type)


async def _send_whole(
    request: web.Request, payload: Payload, body: bytes, content_type: str
) -> web.Response:
    response = web.Response(
        body=body, status=payload.status, content_type=content_type, headers=payload.headers
    )
    await response.prepare(request)
    await response.write_eof()
    return response


async def _send_pieces(
    request: web.Request, payload: Payload, pieces: Sequence[bytes]
) -> web.StreamResponse:
    response = await _start(request, payload)
    for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


async def _send_half(request: web.Request, payload: Payload) -> None:
    body = b"".join(payload.pieces)
    response = await _start(request, payload)
    await response.write(body[: len(body) // 2])
    # Lets the half reach the socket before the connection is aborted.
    await asyncio.sleep(0)


async def _send_slowly(request: web.Request, payload: Payload) -> web.StreamResponse:
    body = b"".join(payload.pieces)
    size = -(-len(body) // _DRIBBLES)
    response = await _start(request, payload)
    for start in range(0, len(body), size):
        await asyncio.sleep(payload.slow_body_s / _DRIBBLES)
        await response.write(body[start : start + size])
    await response.write_eof()
    return response


async def _start(request: web.Request, payload: Payload) -> web.StreamResponse:
    """Send the headers."""
    response = web.StreamResponse(status=payload.status, headers=payload.headers)
    response.content_type = payload.content_type
    if payload.is_stream:
        response.charset = "utf-8"
    else:
        response.content_length = sum(map(len, payload.pieces))
    await response.prepare(request)
    return response
