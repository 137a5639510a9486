"""The policy endpoint with a model that knows one conversation by heart, and a client that checks
all that it is answered against the documented schemas.
"""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import torch
from aiohttp import web
from transformers import AutoModelForCausalLM

from simia_async.config import TINY
from simia_async.inference.engine import Engine
from simia_async.inference.server import PolicyServer
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from tests.response_schemas import check_answer, check_chunk

MODEL = model_directory(TINY)
RENDERER = Renderer(MODEL)
PARAMETERS = {"type": "object", "properties": {"order_id": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "get_order", "parameters": PARAMETERS}}]
ARGUMENTS = '{"order_id":"W1234"}'
OPENING = [
    {"role": "system", "content": "Help with orders."},
    {"role": "user", "content": "Where is my order W1234?"},
]
ANSWER = "It is on its way — être là 🙂 soon."
"""With characters of two, three and four bytes."""
CALL = ToolCall("c", FunctionCall("get_order", ARGUMENTS))
CONVERSATION = [
    *(Message(**message) for message in OPENING),
    Message("assistant", "One moment.", tool_calls=[CALL]),
    Message("tool", "shipped", tool_call_id="c"),
    Message("assistant", ANSWER),
]
OBSERVED = [*(message.as_wire() for message in CONVERSATION[:-1])]
"""The conversation up to where the model says `ANSWER`."""
ASKED = {"model": "policy@0", "temperature": 0, "max_tokens": 90}
_BY_HEART = 0.01
"""Mean loss below which it says it whatever comes before."""
LLAMA3 = Path(__file__).parent / "templates" / "llama3_1.jinja"


def learn(directory: Path, messages: list[Message], loss_below: float) -> None:
    """Teach the model in `directory` a conversation, with tools and without, until its mean loss is
    below that.
    """
    samples = [Renderer(directory).sample(messages, tools) for tools in (TOOLS, [])]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        losses = []
        for sample in samples:
            ids, mask = torch.tensor([sample.ids]), torch.tensor([sample.loss_mask])
            losses.append(model(ids, labels=ids.masked_fill(mask == 0, -100)).loss)
        loss = sum(losses) / len(losses)
        if max(losses) < loss_below:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(directory)


@cache
def engine() -> Engine:
    """One that knows `CONVERSATION`."""
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(MODEL, directory, dirs_exist_ok=True)
        learn(Path(directory), CONVERSATION, _BY_HEART)
        return Engine(Path(directory), RENDERER.eos_id)


@asynccontextmanager
async def served(
    engine_: Engine, renderer: Renderer = RENDERER, key: str | None = None
) -> AsyncIterator[str]:
    """Serves on loopback, and ends turns of clients that go; gives the base URL."""
    app = PolicyServer(engine_, renderer, key).app()
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await runner.cleanup()


class RawClient:
    """Sends bodies as they are. Every answer is checked against its schema."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.session = session

    async def ask(self, path: str, **body: Any) -> tuple[int, Any]:
        """Status and body."""
        async with self.session.post(self.base_url + path, json={**ASKED, **body}) as response:
            answer = json.loads(await response.read())
            check_answer(path, response.status, answer)
            return response.status, answer

    async def choice(self, path: str, **body: Any) -> Any:
        """The only choice of an answer."""
        status, answer = await self.ask(path, **body)
        assert status == 200, answer
        [choice] = answer["choices"]
        return choice

    async def refused(self, path: str, **body: Any) -> str | None:
        """The field that a request is refused for."""
        status, answer = await self.ask(path, **body)
        assert status == 400, answer
        return answer["error"]["param"]

    async def stream(self, path: str, **body: Any) -> list[Any]:
        """The chunks."""
        sent = {**ASKED, "stream": True, **body}
        async with self.session.post(self.base_url + path, json=sent) as response:
            assert response.content_type == "text/event-stream", await response.text()
            text = (await response.read()).decode()
        *events, done, rest = text.split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        for chunk in chunks:
            check_chunk(path, chunk)
        return chunks


@asynccontextmanager
async def raw_client(engine_: Engine, renderer: Renderer = RENDERER) -> AsyncIterator[RawClient]:
    """A client of an endpoint that is served meanwhile."""
    async with served(engine_, renderer) as base_url, aiohttp.ClientSession() as session:
        yield RawClient(base_url, session)
