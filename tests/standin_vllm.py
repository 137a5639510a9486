"""A stand-in for vLLM, not vLLM: the routes that RL uses, as vLLM 0.14 documents them, in front of
a policy that says one of a few sentences. It refuses what vLLM refuses.
"""

import random
from typing import Any

import msgspec
from aiohttp import web

from simia_async.config import TINY
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer

BASE = "tiny-on-vllm"
LOGPROB = -0.5
"""Of every token."""
_RENDERER = Renderer(model_directory(TINY))
_SENTENCES = ("Hello.", "I cannot do that.", "Which order is it?", "It is done.")


class StandInVllm:
    """What it holds and what it was asked, in order."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        """Path of each adapter, by name."""
        self.log: list[tuple[str, str]] = []
        """Route and the model or adapter that was named."""
        self.completions: list[dict[str, Any]] = []
        self.refused: list[str] = []

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/load_lora_adapter", self._load)
        app.router.add_post("/v1/unload_lora_adapter", self._unload)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _load(self, request: web.Request) -> web.Response:
        asked = await request.json()
        name = asked["lora_name"]
        if name in self.loaded:
            return self._refuse(400, f"The lora adapter '{name}' has already been loaded.")
        self.log.append(("load", name))
        self.loaded[name] = asked["lora_path"]
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: web.Request) -> web.Response:
        name = (await request.json())["lora_name"]
        if name not in self.loaded:
            return self._refuse(404, f"The lora adapter '{name}' cannot be found.")
        self.log.append(("unload", name))
        del self.loaded[name]
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def _complete(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read())
        model = asked["model"]
        if model != BASE and model not in self.loaded:
            return self._refuse(404, f"The model `{model}` does not exist.")
        self.log.append(("complete", model))
        self.completions.append(asked)
        said = random.Random(asked["seed"]).choice(_SENTENCES)
        ids = [*_RENDERER.encode(said), _RENDERER.eos_id]
        logprobs = {
            "tokens": [f"token_id:{number}" for number in ids],
            "token_logprobs": [LOGPROB] * len(ids),
            "top_logprobs": None,
            "text_offset": [0] * len(ids),
        }
        choice = {
            "index": 0,
            "text": said,
            "logprobs": logprobs if asked.get("logprobs") is not None else None,
            "finish_reason": "stop",
            "token_ids": ids if asked.get("return_token_ids") else None,
        }
        usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": len(ids)}
        body = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": model}
        return web.json_response({**body, "choices": [choice], "usage": usage})

    async def _models(self, _: web.Request) -> web.Response:
        names = [BASE, *self.loaded]
        return web.json_response({"object": "list", "data": [{"id": name} for name in names]})

    def _refuse(self, status: int, message: str) -> web.Response:
        self.refused.append(message)
        error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
        return web.json_response({"error": error}, status=status)
