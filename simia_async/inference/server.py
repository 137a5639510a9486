"""The policy endpoint: `/v1/completions` over token ids, and vLLM's routes to load adapters."""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from simia_async.errors import SimiaError, UnknownModel, UsageError
from simia_async.inference.engine import Engine, Sampled, SampleRequest
from simia_async.models import check_adapter
from simia_async.rendering.renderer import Renderer
from simia_async.supervision.child import OwnerPipe
from simia_async.supervision.http_child import error_response, json_response, serve_on_loopback


class _CompletionRequest(msgspec.Struct):
    """The part of a completion request that this endpoint understands; text prompts it refuses."""

    model: str
    prompt: list[int]
    max_tokens: int = 16
    temperature: float = 1.0
    seed: int = 0


class _LoadRequest(msgspec.Struct):
    lora_name: str
    lora_path: str


class _UnloadRequest(msgspec.Struct):
    lora_name: str


class PolicyServer:
    """Handlers of the routes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[_errors_as_json], client_max_size=16 * 2**20)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _completions(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=_CompletionRequest)
        wanted = SampleRequest(
            body.prompt, body.model, body.max_tokens, body.temperature, body.seed
        )
        sampled = await asyncio.wrap_future(self._engine.sample(wanted))
        assert sampled is not None
        return json_response(_completion(body, sampled))

    async def _load(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=_LoadRequest)
        path = check_adapter(Path(body.lora_path))
        await asyncio.wrap_future(self._engine.load(body.lora_name, path))
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=_UnloadRequest)
        await asyncio.wrap_future(self._engine.unload(body.lora_name))
        return web.Response(text=f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

    async def _models(self, _: web.Request) -> web.Response:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simia-async"}
            for name in self._engine.models
        ]
        return json_response({"object": "list", "data": data})


def _completion(body: _CompletionRequest, sampled: Sampled) -> dict[str, Any]:
    return {
        "id": f"cmpl-{body.seed}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": body.model,
        "choices": [
            {
                "index": 0,
                # Clients of this endpoint work with ids; the text is theirs to decode.
                "text": "",
                "token_ids": sampled.token_ids,
                "logprobs": {"token_logprobs": sampled.logprobs},
                "finish_reason": sampled.finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": len(body.prompt),
            "completion_tokens": len(sampled.token_ids),
            "total_tokens": len(body.prompt) + len(sampled.token_ids),
        },
    }


@web.middleware
async def _errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return error_response(400, f"{request.path}: {error}")
    except UsageError as error:
        return error_response(404 if isinstance(error, UnknownModel) else 400, str(error))
    except RuntimeError as error:  # torch's own, such as memory: the client should hear of it
        return error_response(500, f"the engine failed: {error}")


def main() -> None:
    """Load the model, then serve until the owner is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=PATH")
    arguments = parser.parse_args()
    pipe = OwnerPipe()
    try:
        engine = Engine(arguments.model, Renderer(arguments.model).eos_id)
        for adapter in arguments.adapter:
            name, _, path = adapter.partition("=")
            engine.load(name, check_adapter(Path(path))).result()
    except (SimiaError, OSError, ValueError) as error:
        pipe.fail(UsageError(f"{arguments.model}: cannot be loaded: {error}"))
        return
    asyncio.run(serve_on_loopback(PolicyServer(engine).app(), arguments.port, pipe))


if __name__ == "__main__":
    main()
