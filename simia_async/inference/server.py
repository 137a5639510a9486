"""The policy endpoint: OpenAI's routes for completions, and vLLM's for adapters."""

import argparse
import asyncio
from pathlib import Path

from aiohttp import web

from simia_async.errors import SimiaError, UsageError
from simia_async.inference.chat_answers import ChatAnswer
from simia_async.inference.choices import Choices
from simia_async.inference.completion_answers import CompletionAnswer
from simia_async.inference.engine import Engine
from simia_async.inference.listening import key_check, required_key
from simia_async.inference.protocol import (
    ChatRequest,
    CompletionRequest,
    LoadRequest,
    UnloadRequest,
)
from simia_async.inference.reading import decode, read_request
from simia_async.inference.refusals import Refused, errors_as_json
from simia_async.inference.replies import style_of
from simia_async.inference.streams import stream
from simia_async.inference.threads import set_threads
from simia_async.inference.versions import BASE
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.http_child import json_response, serve_forever
from simia_async.supervision.listening import listen

MAX_ANSWERS = 4096
"""Of one request. More would keep all other clients waiting while they are queued."""


class PolicyServer:
    """Handlers of the routes. `renderer` is the model's; `key` is what clients must send."""

    def __init__(self, engine: Engine, renderer: Renderer, key: str | None = None) -> None:
        self._engine = engine
        self._renderer = renderer
        self._style = style_of(renderer)
        self._key = key

    def app(self) -> web.Application:
        """The routes. Needs a runner with `handler_cancellation=True` to end the turns of clients
        that go.
        """
        app = web.Application(
            middlewares=[errors_as_json, key_check(self._key)], client_max_size=16 * 2**20
        )
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        return app

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        asked = read_request(await request.read(), CompletionRequest)
        prompts = await asyncio.to_thread(_prompts, asked, self._renderer)
        if len(prompts) * asked.choices > MAX_ANSWERS:
            raise Refused(
                f"prompt: {len(prompts)} prompts with n = {asked.choices} ask for more than the "
                f"{MAX_ANSWERS} answers that one request may have",
                "prompt",
            )
        answer = CompletionAnswer(asked, prompts, self._renderer)
        return await self._answer(request, asked, prompts, answer)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = read_request(await request.read(), ChatRequest)
        prompt = await asyncio.to_thread(
            self._renderer.prompt_ids, asked.messages, asked.offered_tools
        )
        answer = ChatAnswer(asked, prompt, self._renderer, self._style)
        return await self._answer(request, asked, [prompt], answer)

    async def _answer(
        self,
        request: web.Request,
        asked: CompletionRequest | ChatRequest,
        prompts: list[list[int]],
        answer: CompletionAnswer | ChatAnswer,
    ) -> web.StreamResponse:
        with Choices(self._engine, self._renderer, asked, prompts) as choices:
            if asked.stream:
                return await stream(request, choices, answer, wants_usage=asked.wants_usage)
            return json_response(answer.whole(await choices.whole()))

    async def _load(self, request: web.Request) -> web.Response:
        body = decode(await request.read(), LoadRequest)
        await asyncio.wrap_future(self._engine.load(body.lora_name, Path(body.lora_path)))
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        body = decode(await request.read(), UnloadRequest)
        await asyncio.wrap_future(self._engine.unload(body.lora_name))
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    async def _models(self, _: web.Request) -> web.Response:
        data = [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "simia-async",
                "root": str(path),
                "parent": None if name == BASE else BASE,
                "max_model_len": self._engine.context,
            }
            for name, path in self._engine.models.items()
        ]
        return json_response({"object": "list", "data": data})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()


def _prompts(asked: CompletionRequest, renderer: Renderer) -> list[list[int]]:
    """Token ids of each prompt. Raises `Refused` for a list of several kinds of things."""
    prompt = asked.prompt
    if isinstance(prompt, str):
        return [renderer.encode(prompt)]
    if all(isinstance(one, int) for one in prompt):
        return [[one for one in prompt if isinstance(one, int)]]
    if any(isinstance(one, int) for one in prompt):
        raise Refused("prompt: token ids and other prompts in one list", "prompt")
    return [renderer.encode(one) if isinstance(one, str) else one for one in prompt]  # type: ignore[misc]


def main() -> None:
    """Load the model, then serve until the owner is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--api-key-env", default="")
    parser.add_argument("--threads", type=int, help="of torch; 0: one a CPU; default: that but one")
    arguments = parser.parse_args()
    pipe = OwnerPipe()
    try:
        key = required_key(arguments.host, arguments.api_key_env)
        listener = listen(arguments.host, arguments.port)
    except UsageError as error:
        pipe.fail(error)
        return
    set_threads(arguments.threads)
    try:
        renderer = Renderer(arguments.model)
        engine = Engine(arguments.model, renderer.eos_id)
        for adapter in arguments.adapter:
            name, _, path = adapter.partition("=")
            engine.load(name, Path(path)).result()
    except SimiaError as error:
        pipe.fail(error)
        return
    app = PolicyServer(engine, renderer, key).app()
    asyncio.run(serve_forever(app, listener, pipe))


if __name__ == "__main__":
    main()
