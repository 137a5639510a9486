"""What a server's runs made, fetched: whole or not at all, wherever a download breaks off."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from typer.testing import CliRunner

import simia_async
from simia_async.cli.main import app
from simia_async.errors import EndpointRefused, EndpointUnavailable, UsageError
from simia_async.serving import client_downloads
from simia_async.serving.client_downloads import fetch_directory, fetch_file
from simia_async.synthesis.export import export
from simia_async.synthesis.export_format import ExportFormat
from tests.servers import ServerProcess, until
from tests.test_serving import files_in, has_begun, record, state

pytest.importorskip("prometheus_client")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "root") as server:
        yield server


@pytest.fixture(scope="module")
def run(server: ServerProcess) -> str:
    number = str(
        server.ask("POST", "/v1/runs", {"kind": "generate", "settings": {"n": 5}})[1]["id"]
    )
    until(lambda: state(server, number) == "done")
    return number


@pytest.mark.parametrize("form", [ExportFormat.SHAREGPT, ExportFormat.PARQUET])
async def test_an_export_is_the_one_that_is_made_here(
    server: ServerProcess, run: str, tmp_path: Path, form: ExportFormat
) -> None:
    async with simia_async.connect(server.url, token=server.token) as remote:
        await remote.run(run).export(tmp_path / "there", form)
    export(record(server, run), tmp_path / "here", form)
    assert files_in(tmp_path / "there") == files_in(tmp_path / "here")
    assert [path.name for path in record(server, run).parent.glob("exports/.*")] == []


async def test_what_is_not_to_be_had_leaves_nothing(
    server: ServerProcess, run: str, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    async with simia_async.connect(server.url, token=server.token) as remote:
        named = remote.run(run)
        with pytest.raises(UsageError, match="full: is there already"):
            await named.export(tmp_path / "full")
        with pytest.raises(EndpointRefused, match="format: found 'csv'; it must be one of openai"):
            await named.export(tmp_path / "new", "csv")
        with pytest.raises(EndpointRefused, match="no such adapter"):
            await named.adapter("../../x", tmp_path / "new")
        with pytest.raises(EndpointRefused, match="made no tasks"):
            await named.tasks(tmp_path / "tasks.jsonl")
        with pytest.raises(EndpointRefused, match="no such run"):
            await remote.run("nothing").export(tmp_path / "new")
        played = await remote.submit(
            "rollout",
            environment="mini-airline",
            tasks=1,
            group_size=1,
            policy={"model": "scripted-agent"},
        )
        await played.wait(0.1)
        with pytest.raises(EndpointRefused, match="kept no trajectory"):
            await played.export(tmp_path / "new")
    assert files_in(tmp_path) == {"full/mine": b""}


async def test_parts_are_sent_to_whoever_asks_for_them(server: ServerProcess, run: str) -> None:
    url = f"{server.url}/v1/runs/{run}/export?format=hermes"
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        answers = await asyncio.gather(*(read(http, url) for _ in range(4)))
        status, whole, tag = answers[0]
        assert (status, len(set(answers))) == (200, 1)
        part = await read(http, url, {"Range": "bytes=100-", "If-Match": tag})
        assert part == (206, whole[100:], tag)
        assert (await read(http, url, {"Range": "bytes=1-", "If-Match": '"x"'}))[0] == 412


async def read(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None
) -> tuple[int, bytes, str]:
    async with http.get(url, headers=headers) as response:
        return response.status, await response.read(), response.headers.get("ETag", "")


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    """The URL of a server that answers so."""
    application = web.Application()
    application.router.add_get("/", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("becomes_another", [False, True])
async def test_a_download_that_breaks_off_goes_on(
    tmp_path: Path, becomes_another: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_downloads, "TRY_AGAIN_S", (0.0, 0.0, 0.0))
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 400)
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range", ""))
        if len(asked) > 1:
            return web.FileResponse(source)
        stat = source.stat()
        headers = {"ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'}
        response = web.StreamResponse(headers=headers)
        response.content_length = stat.st_size
        await response.prepare(request)
        await response.write(source.read_bytes()[:70_000])
        if becomes_another:
            source.write_bytes(b"another" * 5000)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(handle) as url, aiohttp.ClientSession() as http:
        await fetch_file(http, url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert asked[:2] == ["", "bytes=70000-"]
    assert len(asked) == (3 if becomes_another else 2)


async def test_what_never_comes_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_downloads, "TRY_AGAIN_S", (0.0,))

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def no_tar(_: web.Request) -> web.Response:
        return web.Response(body=b"<html>")

    (tmp_path / "copy").write_text("mine")
    async with serving(handle) as url, aiohttp.ClientSession() as http:
        with pytest.raises(EndpointUnavailable):
            await fetch_file(http, url, tmp_path / "copy")
    async with serving(no_tar) as url, aiohttp.ClientSession() as http:
        with pytest.raises(UsageError, match="the server sent no tar"):
            await fetch_directory(http, url, tmp_path / "new")
        with pytest.raises(UsageError, match="cannot be written"):
            await fetch_file(http, url, tmp_path / "copy" / "below")
    assert files_in(tmp_path) == {"copy": b"mine"}


def test_the_command_line_fetches(server: ServerProcess, run: str, tmp_path: Path) -> None:
    there = ["--server", server.url, "--token-file", str(server.root / "token")]

    def simia(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["submit", *arguments, *there])
        assert done.exit_code == 0, done.output
        return done.stdout

    simia("export", run, "-o", str(tmp_path / "data"), "--format", "openai")
    lines = (tmp_path / "data" / "train.jsonl").read_text().splitlines()
    assert len([json.loads(line)["messages"] for line in lines]) == 5
    page = simia("card", run)
    assert page.startswith(f"# Card of a run: {run}")
    assert "| kind | generate |" in page
    simia("fetch", run, "-o", str(tmp_path / "run.db"))
    assert "kept" in CliRunner().invoke(app, ["report", str(tmp_path / "run.db")]).output
    assert run in simia("list")
    assert json.loads(simia("show", run, "--json"))["state"] == "done"
    waits = CliRunner().invoke(app, ["submit", "export", run, "-o", str(tmp_path), *there])
    assert waits.exit_code == 2


def test_what_a_run_needs_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    files = {"policy.md": "Be kind.", "tools.json": json.dumps([tool])}
    others = {**files, "policy.md": "Be rude."}
    with ServerProcess(tmp_path / "root", "--parallel", "1") as server:

        def submitted(kind: str, **settings: Any) -> str:
            return str(
                server.ask("POST", "/v1/runs", {"kind": kind, "settings": settings})[1]["id"]
            )

        def sent(texts: dict[str, str]) -> tuple[int, Any]:
            return server.ask("PUT", "/v1/environments/mine", {"files": texts})

        source = submitted("generate", n=1)
        until(lambda: state(server, source) == "done")
        busy = submitted("generate", n=20000)
        until(lambda: has_begun(record(server, busy)))
        assert sent(files)[0] == 201
        waiting = submitted("generate", environment="mine")
        assert sent(files)[0] == 201, "the same may be sent again"
        status, problem = sent(others)
        assert status == 409
        assert f"mine: {waiting} was submitted with it and is queued" in problem["detail"]
        server.ask("POST", f"/v1/runs/{waiting}/stop")
        assert sent(others)[0] == 201
        learning = submitted("tasks", source=source)
        status, problem = server.ask("DELETE", f"/v1/runs/{source}")
        assert status == 409
        assert f"{learning} needs it and is queued" in problem["detail"]
        server.ask("POST", f"/v1/runs/{learning}/stop")
        assert server.ask("DELETE", f"/v1/runs/{source}")[0] == 204
        server.ask("POST", f"/v1/runs/{busy}/stop")
