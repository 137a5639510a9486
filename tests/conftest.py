"""Shared fixtures. Everything here is real: servers on loopback, databases on disk."""

import asyncio
import gc
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck

from simia_async.builtin.server import build_app
from simia_async.config import Endpoint

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real data that the project tests with and does not ship."""


PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


# What runs tests in several processes tells each a width, which would stand for every terminal.
os.environ.pop("COLUMNS", None)

# Several processes run tests, and children of theirs models: threads of torch that wait for each
# other would spin, which makes small models ten times slower. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests start a few hundred processes of ours. What they import is compiled once, also where the
# environment says that nothing is to be written beside the sources.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is slow at drawing examples, which says nothing of the code. On CI the examples are
# the same each time; elsewhere new ones are looked for.
hypothesis.settings.register_profile(
    "default", suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("default"), derandomize=True, database=None
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_loops: run on asyncio's loop and on uvloop's")


_FIRST = ("test_training_runs", "test_tui_keys", "test_tui_screens", "test_workers")
"""Files that take long and would be the last: one process would be left alone with each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, all others in the order of their names."""
    items.sort(key=lambda item: item.path.stem not in _FIRST)


def pytest_collection_finish() -> None:
    """What all tests consist of is not looked through again in every collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("both_loops"):
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [name for name in os.environ if name.startswith("SIMIA_")]
    proxies = [*PROXIES, *map(str.upper, PROXIES)]
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", *proxies, *ours):
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


class Served:
    """Servers that answer the n-th request with the n-th of `answers`; the last one stands for all
    that follow. An answer is what `web.Response` takes, or a handler.
    """

    def __init__(self, stack: AsyncExitStack) -> None:
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []
        self._stack = stack

    async def __call__(
        self, *answers: dict[str, Any] | Handler, tls: ssl.SSLContext | None = None, **settings: Any
    ) -> Endpoint:
        asked = 0

        async def handle(request: web.Request) -> web.StreamResponse:
            nonlocal asked
            answer = answers[min(asked, len(answers) - 1)]
            asked += 1
            self.bodies.append(msgspec.json.decode(await request.read() or b"null"))
            self.headers.append(request.headers)
            self.paths.append(request.path_qs)
            return web.Response(**answer) if isinstance(answer, dict) else await answer(request)

        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", handle)
        server = TestServer(app, scheme="https" if tls else "http")
        self._stack.push_async_callback(server.close)
        await server.start_server(ssl=tls)
        url = f"{server.scheme}://127.0.0.1:{server.port}/v1"
        return Endpoint(**{"base_url": url, "model": "m", **settings})


@pytest.fixture
async def start() -> AsyncIterator[Served]:
    """Serves until the test ends; gives the endpoint."""
    async with AsyncExitStack() as stack:
        yield Served(stack)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and `simulator.test`, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:simulator.test"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=simulator.test -addext {names} -keyout {path}.key -out {path}.crt"
    )
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the command openssl")
    path.write_bytes(Path(f"{path}.key").read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """For a server that shows `certificate`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
