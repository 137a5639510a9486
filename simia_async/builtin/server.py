"""The scripted simulator as an OpenAI-compatible server: chat completions over HTTP.

Rule-based, not an LLM. Runs as a child of the run that uses it.
"""

import argparse
import asyncio
import time
from typing import Any

import msgspec
from aiohttp import web

from simia_async.builtin.answers import CannotAnswer, answer
from simia_async.config import SCRIPTED
from simia_async.messages import Message
from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.http_child import error_response, json_response, serve_on_loopback


class _Request(msgspec.Struct):
    messages: list[Message]
    model: str = SCRIPTED
    seed: int = 0


async def chat_completions(request: web.Request) -> web.Response:
    """`POST /v1/chat/completions`. 400 for a malformed request, 422 for a prompt without rules."""
    try:
        body = msgspec.json.decode(await request.read(), type=_Request)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return error_response(400, f"not a chat completion request: {error}")
    prompt = next((m.content for m in body.messages if m.role == "user" and m.content), "")
    try:
        text = msgspec.json.encode(answer(prompt, body.seed)).decode()
    except CannotAnswer as error:
        return error_response(422, str(error))
    tokens_in = sum(len(m.content or "") for m in body.messages) // 4
    return json_response(completion(body.model, text, tokens_in))


def completion(model: str, text: str, tokens_in: int) -> dict[str, Any]:
    """A chat completion body. Tokens are estimated at four characters each."""
    tokens_out = len(text) // 4
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
    }


async def models(_: web.Request) -> web.Response:
    """`GET /v1/models`."""
    card = {"id": SCRIPTED, "object": "model", "created": 0, "owned_by": "simia-async"}
    return json_response({"object": "list", "data": [card]})


def build_app() -> web.Application:
    """The server's routes."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/chat/completions", chat_completions)
    app.router.add_get("/v1/models", models)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    pipe = OwnerPipe()
    asyncio.run(serve_on_loopback(build_app(), parser.parse_args().port, pipe))
