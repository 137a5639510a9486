"""Shared fixtures. Everything here is real: servers on loopback, databases on disk."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from simia_async.builtin.server import build_app

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real data that the project tests with and does not ship."""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [name for name in os.environ if name.startswith("SIMIA_")]
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", *ours):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def airline_seeds() -> Path:
    """The 100 real GPT-4o conversations."""
    path = DATA / "tau_bench" / "airline_gpt4o_trajectories.jsonl"
    if not path.exists():
        pytest.skip(f"the real conversations are not beside this checkout ({path})")
    return path


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[str]:
    """Serve an app on loopback; gives its base URL up to `/v1`."""
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}/v1"
    finally:
        await server.close()


@pytest.fixture
async def scripted_simulator() -> AsyncIterator[str]:
    """The scripted simulator in this process; gives its base URL."""
    async with serve(build_app()) as base_url:
        yield base_url


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chat_app(handler: Handler) -> web.Application:
    """A server whose chat completions are what a test wants them to be."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    return app
