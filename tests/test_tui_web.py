"""The dashboard in a browser: who is let in, and that it is the dashboard."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from simia_store import StoreError
from simia_tui.web import guard, serve

from tests.tui_runs import write_run

LAUNCH = "from simia_tui.cli import run; run()"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A page behind a guard whose token is `right`."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="steer me")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = web.Application(middlewares=[guard("right", port)])
        app.add_routes([web.get("/", page)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield f"http://127.0.0.1:{port}/"
        await runner.cleanup()


async def status(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with session.get(url, headers=headers) as answer:
        return answer.status


async def test_only_who_has_the_token_is_let_in(url: str) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # of numbered addresses, too
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        assert await status(session, url) == 403
        assert await status(session, f"{url}?token=wrong") == 403
        async with session.get(f"{url}?token=right") as answer:
            assert (answer.status, await answer.text()) == (200, "steer me")
            assert str(answer.url) == url
        assert await status(session, url) == 200
        # Another page of the same browser has the cookie, and must not get in with it.
        assert await status(session, url, Origin="http://127.0.0.1:3000") == 403
        assert await status(session, url, Origin="http://evil.example") == 403
        assert await status(session, url, Host="evil.example") == 403


async def test_what_stands_in_the_way_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    with pytest.raises(StoreError, match=r"pip install \"simia-async\[web\]\""):
        serve([str(tmp_path)], 0)


@contextmanager
def served(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """`simia-tui --web`, until the block ends."""
    command = [sys.executable, "-c", LAUNCH, str(path), "--web", "--readonly"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.skipif(find_spec("textual_serve") is None, reason="the extra `web` is not installed")
async def test_a_browser_is_shown_the_run(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    with served(path) as process:
        address = await asyncio.to_thread(process.stdout.readline)
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\?token=\S+\n", address)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            assert await status(session, f"{found[1]}ws") == 403
            async with session.get(address.strip()) as page:
                assert "simia-tui" in await page.text()
                assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
            drawn = b""
            async with session.ws_connect(f"{found[1]}ws?width=100&height=30") as terminal:
                while not (b"rl run" in drawn and b"read-only" in drawn):
                    drawn += await terminal.receive_bytes(timeout=30)
