"""Keys reach the endpoint and nothing else: planted, echoed by servers in every way, and looked for
wherever something is written or raised.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web
from typer.testing import CliRunner

from simia_async.cli.main import app
from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.errors import EndpointError
from simia_async.messages import Message

KEY = "sk-canary-0123456789abcdef"
PART = KEY[:14]
"""Half of it is too much already."""
OPENAI = openai  # our errors are openai's too, with all that hangs on them

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def all_of(error: BaseException) -> str:
    """Everything that may be printed of an error and of those it came from."""
    told = ["".join(traceback.format_exception(error))]
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += [str(one), repr(one), repr(one.args), repr(vars(one))]
        todo += [one.__cause__, one.__context__]
    return "\n".join(told)


def answering(status: int = 200, body: str | bytes = "", **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        raw = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=raw, headers=headers)

    return handle


def complaint(**fields: str) -> str:
    return json.dumps({"error": {"message": "no", **fields}})


EVENTS = {"Content-Type": "text/event-stream"}
ERRORS = {
    "message": answering(401, complaint(message=f"Incorrect API key provided: {KEY}.")),
    "fields": answering(400, complaint(code=KEY, param=KEY, type=KEY)),
    "at-the-cut": answering(400, complaint(message="x" * 285 + " " + KEY)),
    "text": answering(403, f"{KEY} is not allowed"),
    "web-page": answering(502, f"<html><title>{KEY}</title>"),
    "redirect": answering(307, "", Location=f"https://elsewhere.test/?key={KEY}"),
    "header": answering(401, complaint(), **{"WWW-Authenticate": f"Bearer {KEY}"}),
    "rate-limit": answering(429, complaint(message=KEY), **{"x-request-id": KEY}),
    "not-json": answering(200, f"{KEY} is fine"),
    "not-text": answering(200, b'{"choices": "\xff' + KEY.encode() + b'"}'),
    "wrong-json": answering(200, json.dumps({"choices": [{"message": {"content": {KEY: 1}}}]})),
    "error-in-200": answering(200, complaint(message=KEY)),
    "event": answering(200, f"data: {complaint(message=KEY)}\n\n", **EVENTS),
    "no-event": answering(200, f"data: {KEY}\n\n", **EVENTS),
}

RAW = {
    "no-http": f"{KEY}\r\n\r\n",
    "header-name": f"HTTP/1.1 200 OK\r\n{KEY} {KEY}\r\n\r\n",
    "chunk": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n\r\n",
    "cut": f"HTTP/1.1 200 OK\r\nX: {KEY}\r\nContent-Length: 999\r\n\r\n{KEY}",
    "reason": f"HTTP/1.1 401 {KEY}\r\nContent-Length: 0\r\n\r\n",
    "nothing": "",
}


@asynccontextmanager
async def raw_server(answer: str) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def whole(client: ChatClient, asked: list[Message], ledger: list[Any]) -> None:
    await client.chat(asked, role="user", ledger=ledger)


async def streamed(client: ChatClient, asked: list[Message], ledger: list[Any]) -> None:
    async with client.stream(asked, role="user", ledger=ledger) as said:
        _ = [piece async for piece in said]


async def failure_of(endpoint: Endpoint, *, stream: bool) -> str:
    """All that can be known of a call that must fail, its ledger included."""
    ledger: list[Any] = []
    asked = [Message("user", "Hello")]
    call = streamed if stream else whole
    async with ChatClient.connect(endpoint) as client:
        with pytest.raises(EndpointError) as caught:
            await call(client, asked, ledger)
        assert client.governor.statistics().in_flight == 0
        return "\n".join((all_of(caught.value), repr(ledger), repr(client), repr(endpoint)))


IMPATIENT: Any = {"retry_budget_s": 0, "rate_limit_budget_s": 0, "malformed_attempts": 1}
EITHER = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(params=["OPENAI_API_KEY", "MY_OTHER_KEY"])
def variable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(request.param, KEY)
    return str(request.param)


@EITHER
@pytest.mark.parametrize("case", ERRORS)
async def test_an_echoed_key_is_in_no_error(
    start: Any, case: str, variable: str, stream: bool
) -> None:
    endpoint = await start(ERRORS[case], api_key_env=variable, **IMPATIENT)
    assert PART not in await failure_of(endpoint, stream=stream)
    assert start.headers[0]["Authorization"] == f"Bearer {KEY}"


@EITHER
@pytest.mark.parametrize("case", RAW)
async def test_a_key_echoed_by_what_speaks_no_http_is_in_no_error(
    case: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with raw_server(RAW[case]) as base_url:
        endpoint = Endpoint(base_url=base_url, model="m", **IMPATIENT)
        assert PART not in await failure_of(endpoint, stream=stream)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("case", RAW)
async def test_a_key_echoed_by_a_proxy_is_in_no_error(
    case: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with raw_server(RAW[case]) as proxy:
        url = proxy.removesuffix("/v1").replace("//", f"//me:{KEY}@")
        monkeypatch.setenv(f"{scheme}_proxy", url)
        endpoint = Endpoint(base_url=f"{scheme}://simulator.test/v1", model="m", **IMPATIENT)
        assert PART not in await failure_of(endpoint, stream=False)


async def test_a_key_that_the_model_says_is_not_passed_on(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    message = {"role": "assistant", "content": f"Your key is {KEY}!", "reasoning": KEY}
    body = answering(200, json.dumps({"choices": [{"message": message}]}))
    event = json.dumps({"choices": [{"delta": message, "finish_reason": "stop"}]})
    events = answering(200, f"data: {event}\n\ndata: [DONE]\n\n", **EVENTS)
    async with ChatClient.connect(await start(body, events)) as client:
        asked = [Message("user", "x")]
        reply = await client.chat(asked, role="user", ledger=[])
        async with client.stream(asked, role="user", ledger=[]) as stream:
            pieces = [piece async for piece in stream]
    assert pieces == [reply.message.content] == ["Your key is …!"]
    assert stream.reply == reply
    assert PART not in repr(reply)


async def test_short_words_as_keys_leave_answers_as_they_are(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    body = json.dumps({"choices": [{"message": {"content": "There is none."}}]})
    async with ChatClient.connect(await start(answering(200, body))) as client:
        reply = await client.chat([Message("user", "x")], role="user", ledger=[])
    assert reply.message.content == "There is none."


# Whole runs, in processes of their own.


class Echo(BaseHTTPRequestHandler):
    """Says the key back wherever it can."""

    protocol_version = "HTTP/1.1"
    mode = "good"
    numbers = count()
    hangs = threading.Event()

    def do_GET(self) -> None:
        self.answer(200, {"data": [{"id": self.key}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        number = next(self.numbers)
        if self.mode == "bad":
            self.answer(401, {"error": {"message": f"bad key {self.key}", "code": self.key}})
            return
        if self.mode == "hang" and number > 4:
            self.hangs.set()
            time.sleep(20)
        draft = {
            "messages": [
                {"role": "user", "content": f"I am user number {number} and my key is {self.key}"},
                {"role": "assistant", "content": f"Thank you, {self.key}."},
            ]
        }
        content = json.dumps(draft)
        self.answer(200, {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})

    @property
    def key(self) -> str:
        return self.headers["Authorization"].removeprefix("Bearer ")

    def answer(self, status: int, said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(status, self.key)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Your-Key", self.key)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients may be killed."""


@pytest.fixture
def echo() -> Iterator[type[Echo]]:
    handler = type("Handler", (Echo,), {"numbers": count(), "hangs": threading.Event()})
    with Server(("127.0.0.1", 0), handler) as server:
        handler.url = f"http://127.0.0.1:{server.server_address[1]}/v1"  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler
        server.shutdown()


def simia(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from simia_async.cli.main import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MY_KEY": KEY},
    )


@pytest.mark.parametrize("mode", ["good", "bad", "killed"])
def test_no_run_leaves_the_key_anywhere(
    mode: str, echo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    echo.mode = {"killed": "hang"}.get(mode, mode)
    flags = ["--base-url", echo.url, "--simulator-model", "m", "--api-key-env", "MY_KEY"]
    wanted = "4" if mode == "good" else "40"
    run = simia("generate", *flags, "--no-prefilter", "-n", wanted, "--run", "r.db")
    if mode == "killed":
        assert echo.hangs.wait(20)
        time.sleep(0.3)  # for what was answered to be written
        run.send_signal(signal.SIGKILL)
    told = list(run.communicate(timeout=30))
    assert run.returncode == {"good": 0, "bad": 2, "killed": -signal.SIGKILL}[mode], told
    assert (tmp_path / "r.db").exists()
    wal = tmp_path / "r.db-wal"
    assert mode != "killed" or wal.stat().st_size > 0
    commands: tuple[list[str], ...] = (
        ["report", "r.db"],
        ["report", "r.db", "--json"],
        ["export", "r.db", "-o", "out"],
        ["config", "show", "generate", *flags],
    )
    told += [CliRunner().invoke(app, command, env={"MY_KEY": KEY}).output for command in commands]
    assert PART not in "".join(told)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    holding = [path.name for path in files if PART.encode() in path.read_bytes()]
    assert holding == []
    if mode == "good":
        assert "my key is …" in (tmp_path / "out" / "train.jsonl").read_text()
