"""The policy endpoint: OpenAI's routes for completions, and vLLM's for adapters."""

import argparse
import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from aiohttp import web

from simia_async.errors import RenderError, SimiaError, UnknownModel, UsageError
from simia_async.inference import answers
from simia_async.inference.engine import Engine
from simia_async.inference.listening import key_check, listen, required_key, serve_forever
from simia_async.inference.protocol import (
    ChatRequest,
    CompletionRequest,
    LoadRequest,
    Sampling,
    UnloadRequest,
    event,
)
from simia_async.inference.requests import Sampled, SampleRequest, Watch
from simia_async.models import check_adapter
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.http_child import error_response, json_response


class PolicyServer:
    """Handlers of the routes. `renderer` is the model's; `key` is what clients must send."""

    def __init__(self, engine: Engine, renderer: Renderer, key: str | None = None) -> None:
        self._engine = engine
        self._renderer = renderer
        self._key = key

    def app(self) -> web.Application:
        """The routes. Needs a runner with `handler_cancellation=True` to end the turns of clients
        that go.
        """
        app = web.Application(
            middlewares=[_errors_as_json, key_check(self._key)], client_max_size=16 * 2**20
        )
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        return app

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=CompletionRequest)
        prompt = asked.prompt
        ids = prompt if isinstance(prompt, list) else self._renderer.encode(prompt)
        sampled, text = await self._sample(asked, ids, asked.max_tokens)
        whole = answers.completion(asked, len(ids), sampled, text, self._renderer)
        if not asked.stream:
            return json_response(whole)
        chunks = answers.completion_chunks(whole, with_usage=_wants_usage(asked))
        return await _stream(request, chunks)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=ChatRequest)
        ids = await asyncio.to_thread(
            self._renderer.prompt_ids, asked.messages, asked.offered_tools
        )
        limit = asked.max_completion_tokens or asked.max_tokens
        sampled, text = await self._sample(asked, ids, limit)
        whole = answers.chat(asked, len(ids), sampled, text, self._renderer)
        if not asked.stream:
            return json_response(whole)
        chunks = answers.chat_chunks(whole, with_usage=_wants_usage(asked))
        return await _stream(request, chunks)

    async def _sample(
        self, asked: Sampling, ids: list[int], max_tokens: int | None
    ) -> tuple[Sampled, str]:
        """A turn of at most `max_tokens` (default: what room there is), and its text."""
        stops = asked.stops
        wanted = SampleRequest(
            ids,
            asked.model,
            max_tokens or max(1, self._engine.context - len(ids)),
            1.0 if asked.temperature is None else asked.temperature,
            asked.seed or 0,
            1.0 if asked.top_p is None else asked.top_p,
            max(0, asked.top_k),
            _watch(self._renderer, stops) if stops else None,
        )
        sampled = await asyncio.wrap_future(self._engine.sample(wanted))
        text = self._renderer.decode(sampled.token_ids)
        ends = [text.find(stop) for stop in stops if stop in text]
        return sampled, text[: min(ends, default=len(text))]

    async def _load(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=LoadRequest)
        path = check_adapter(Path(body.lora_path))
        await asyncio.wrap_future(self._engine.load(body.lora_name, path))
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=UnloadRequest)
        await asyncio.wrap_future(self._engine.unload(body.lora_name))
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    async def _models(self, _: web.Request) -> web.Response:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simia-async"}
            for name in self._engine.models
        ]
        return json_response({"object": "list", "data": data})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()


def _watch(renderer: Renderer, stops: list[str]) -> Watch:
    """Ends a turn whose text has come to hold one of `stops`."""
    ids: list[int] = []

    def said(token: int, _: float) -> bool:
        ids.append(token)
        text = renderer.decode(ids)
        return any(stop in text for stop in stops)

    return said


def _wants_usage(asked: Sampling) -> bool:
    return bool(asked.stream_options and asked.stream_options.include_usage)


async def _stream(request: web.Request, chunks: Iterable[Any]) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    await response.prepare(request)
    for chunk in chunks:
        await response.write(event(chunk))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


@web.middleware
async def _errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return error_response(400, f"{request.path}: {error}")
    except (RenderError, jinja2.TemplateError) as error:
        return error_response(400, f"the conversation cannot be rendered: {error}")
    except UsageError as error:
        return error_response(404 if isinstance(error, UnknownModel) else 400, str(error))
    except RuntimeError as error:  # torch's own, such as memory: the client should hear of it
        return error_response(500, f"the engine failed: {error}")
    except web.HTTPException as error:
        return error_response(error.status, f"{request.method} {request.path}: {error.reason}")


def main() -> None:
    """Load the model, then serve until the owner is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--api-key-env", default="")
    arguments = parser.parse_args()
    pipe = OwnerPipe()
    try:
        key = required_key(arguments.host, arguments.api_key_env)
        listener = listen(arguments.host, arguments.port)
    except UsageError as error:
        pipe.fail(error)
        return
    try:
        renderer = Renderer(arguments.model)
        engine = Engine(arguments.model, renderer.eos_id)
        for adapter in arguments.adapter:
            name, _, path = adapter.partition("=")
            engine.load(name, check_adapter(Path(path))).result()
    except (SimiaError, OSError, ValueError) as error:
        pipe.fail(UsageError(f"{arguments.model}: cannot be loaded: {error}"))
        return
    app = PolicyServer(engine, renderer, key).app()
    asyncio.run(serve_forever(app, listener, pipe))


if __name__ == "__main__":
    main()
