"""Our client against an OpenAI-compatible server that others wrote: `transformers serve`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from simia_store import CallRecord

import simia_async.builtin
from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.environments import load_environment
from simia_async.errors import EndpointUnavailable
from simia_async.messages import Message

pytestmark = pytest.mark.soak

TINY = Path(simia_async.builtin.__file__).parent / "tiny"
STARTS_WITHIN_S = 60


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The tiny base model, served by transformers."""
    for package in ("torch", "transformers", "fastapi", "uvicorn", "openai"):
        pytest.importorskip(package, reason=f"transformers serve needs {package}")
    command = shutil.which("transformers", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("the command `transformers` is not beside this Python")
    home = tmp_path_factory.mktemp("foreign")
    (home / "hub").mkdir()
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    arguments = ["serve", str(TINY), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = home / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [command, *arguments], stdout=out, stderr=out, env=environ, cwd=home
        )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline:
            assert server.poll() is None, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Endpoint(
            base_url=f"http://127.0.0.1:{port}/v1",
            model=str(TINY),
            temperature=0.0,
            max_tokens=100,
            retry_budget_s=0,
        )
    finally:
        server.terminate()
        server.wait(10)


async def test_a_foreign_server_answers_whole_and_in_pieces_and_lists_its_models(
    foreign: Endpoint,
) -> None:
    environment = load_environment("mini-retail")
    asked = [Message("system", environment.policy), Message("user", "Where is my order?")]
    tools = msgspec.to_builtins(environment.tools)
    ledger: list[CallRecord] = []
    async with ChatClient.connect(foreign) as client:
        await client.check()
        assert isinstance(await client.models(), list)
        reply = await client.chat(asked, role="policy", ledger=ledger, tools=tools)
        async with client.stream(asked, role="policy", ledger=ledger, tools=tools) as stream:
            assert "".join([piece async for piece in stream]) == (reply.message.content or "")
        assert client.governor.statistics().in_flight == 0
    [whole], [streamed] = reply.message.tool_calls or (), stream.reply.message.tool_calls or ()
    assert whole.function.name == streamed.function.name == "get_order"
    assert json.loads(whole.function.arguments) == json.loads(streamed.function.arguments)
    assert stream.reply.finish_reason == reply.finish_reason == "tool_calls"
    assert stream.usage == reply.usage
    assert 0 < reply.usage.tokens_out < 100
    assert [record.status for record in ledger] == ["ok", "ok"]


async def test_what_a_foreign_server_fails_at_is_told_in_one_sentence(foreign: Endpoint) -> None:
    # Without tools the tiny model still begins a tool call, on which this server stumbles.
    hello = [Message("user", "Hello")]
    async with ChatClient.connect(foreign) as client:
        with pytest.raises(EndpointUnavailable, match=r"HTTP 500: Internal Server Error$"):
            await client.chat(hello, role="policy", ledger=[], max_tokens=4)
