"""A simulator of mini-retail that knows the truth, and tells it except where it is told not to.

What a prompt does not hold, as in a transcript world, it knows all the same: it keeps every task's
state, and what the calls of a conversation have made of it. So what is wrong in a training with it
is what was put there, in both kinds of world alike. In a transcript world a call that was said to
have failed has failed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import jsonpatch
import msgspec
from aiohttp import web

from simia_async.builtin.answers import answer
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.server import completion
from simia_async.builtin.server.draws import chance_of
from simia_async.environments import Task
from simia_async.messages import Message
from simia_async.simulation.code_answers import arguments_of
from simia_async.simulation.prompts import compose, read_sections
from simia_async.testing import ChatRequest, Lies

_MODEL = "untrue"


class UntrueSimulator:
    """Answers for the worlds of `tasks`, with `lies`."""

    def __init__(self, tasks: Sequence[Task], lies: Lies, seed: int) -> None:
        self._states = {task.scenario.utterances[0].text: task.initial_state for task in tasks}
        assert len(self._states) == len(tasks), "two tasks begin with the same words"
        self._lies = lies
        self._seed = seed
        self._seen: dict[str, int] = {}

    def say(self, prompt: str) -> str:
        """The answer to one prompt, as JSON."""
        sections = self._completed(read_sections(prompt))
        seen = self._seen[prompt] = self._seen.get(prompt, 0) + 1
        said = answer(compose(sections), 0)
        chance = chance_of(self._seed, prompt, seen)
        return msgspec.json.encode(self._lies.told(said, sections, chance)).decode()

    def _completed(self, sections: dict[Any, Any]) -> dict[Any, Any]:
        """The sections, with the state where they hold none."""
        role = sections["environment"]["role"]
        if role == "tool" and sections["state"] is None:
            return {**sections, "state": self._state(sections["history"])}
        if role == "judge" and sections["state"]["final"] is None:
            final = self._state(sections["history"])
            return {**sections, "state": {**sections["state"], "final": final}}
        return sections

    def _state(self, said: list[dict[str, Any]]) -> dict[str, Any]:
        """What the calls of a conversation have made of its task's state."""
        history = msgspec.convert(said, list[Message])
        state = next(
            self._states[message.content] for message in history if message.content in self._states
        )
        returned = {message.tool_call_id: message.content or "" for message in history}
        for call in (call for message in history for call in message.tool_calls or ()):
            if returned.get(call.id, '{"error":').startswith('{"error":'):
                continue
            outcome = MINI_RETAIL.call(state, call.function.name, arguments_of(call) or {})
            state = jsonpatch.apply_patch(state, outcome.ops)
        return state


@asynccontextmanager
async def serve(simulator: UntrueSimulator) -> AsyncIterator[dict[str, str]]:
    """The settings of an endpoint at which it answers, on loopback."""

    async def complete(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=ChatRequest)
        said = simulator.say(asked.prompt)
        return web.json_response(completion(_MODEL, said, 1))

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": _MODEL}]})

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield {"base_url": f"http://127.0.0.1:{port}/v1", "model": _MODEL, "api_key_env": ""}
    finally:
        await runner.cleanup()
