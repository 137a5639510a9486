"""A server from elsewhere: submit runs, watch and steer them, fetch what they made.

async with simia_async.connect("http://gpu:8600") as server:
run = await server.submit("generate", environment="retail", n=1000)
async for event in run.events():
...
"""

import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec

from simia_async.config.fields import Settings
from simia_async.config.resolve import kind_of
from simia_async.errors import ConfigError, EndpointError, EndpointRefused, EndpointUnavailable
from simia_async.serving.problems import Problem
from simia_async.serving.views import RunView

TOKEN_ENV = "SIMIA_SERVER_TOKEN"  # noqa: S105 (a name, not a token)
_TRY_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_LONGEST_SILENCE_S = 30.0
"""A stream that says nothing for so long is broken: the server speaks every second."""


class RunEvent(msgspec.Struct, frozen=True):
    """That rows `first` to `last` of a table of the run's record were written."""

    cursor: int
    table: str
    first: int
    last: int


class _Rows(msgspec.Struct, frozen=True):
    table: str
    first: int
    last: int


@asynccontextmanager
async def connect(
    url: str, *, token: str | None = None, token_file: str | Path | None = None
) -> "AsyncIterator[RemoteServer]":
    """The server at `url`. The token is given, or in a file, or in `SIMIA_SERVER_TOKEN`.

    Raises `ConfigError` if there is none, `EndpointUnavailable` if nobody answers there.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_LONGEST_SILENCE_S)
    headers = {"Authorization": f"Bearer {_token(token, token_file)}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
        server = RemoteServer(url.rstrip("/"), http)
        await server.runs()
        yield server


class RemoteServer:
    """A server. Made by `connect`."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def submit(
        self,
        kind: str | Settings,
        *,
        data: "Sequence[RemoteRun]" = (),
        key: str | None = None,
        **settings: Any,
    ) -> "RemoteRun":
        """A run of this kind (`generate`, `rollout`, `sft`, `rl`, `eval`) with these settings, or
        one of settings as a whole. An SFT run learns from the runs `data`.

        The request is repeated until it is answered, and the run submitted once. Raises
        `EndpointRefused` with what is wrong with it.
        """
        if isinstance(kind, Settings):
            whole = msgspec.to_builtins(kind)
            kind, settings = kind_of(type(kind)), whole | settings
        body = {"kind": kind, "settings": settings, "data": [run.id for run in data]}
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        told = await self._ask("POST", "/v1/runs", body=body, headers=headers)
        return RemoteRun(self, msgspec.json.decode(told, type=RunView).id)

    async def runs(self) -> list[RunView]:
        """All runs, the newest first."""
        told = await self._ask("GET", "/v1/runs")
        return msgspec.json.decode(told, type=dict[str, list[RunView]])["runs"]

    def run(self, number: str) -> "RemoteRun":
        """One run, by its id."""
        return RemoteRun(self, number)

    async def send_file(self, name: str, content: bytes) -> str:
        """Seeds, tasks or a rubric; what submissions name it by."""
        await self._ask("PUT", f"/v1/files/{name}", data=content)
        return name

    async def send_environment(self, directory: Path) -> str:
        """An environment's directory; what submissions name it by."""
        name, files = await anyio.to_thread.run_sync(_texts, directory)
        await self._ask("PUT", f"/v1/environments/{name}", body={"files": files})
        return name

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of the answer. Requests may be repeated: none does anything twice."""
        sent = data if body is None else msgspec.json.encode(body)
        for wait_s in (*_TRY_AGAIN_S, None):
            try:
                async with self._http.request(
                    method, self.url + path, data=sent, headers=headers
                ) as response:
                    told = await response.read()
                    if response.status < 400:
                        return told
                    error = _error(response.status, told)
                    if response.status not in (429, 502, 503):
                        raise error
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as failure:
                error = EndpointUnavailable(f"{self.url}: {failure or type(failure).__name__}")
            if wait_s is not None:
                await anyio.sleep(wait_s)
        raise error

    async def _stream(self, path: str) -> AsyncIterator[bytes]:
        async with self._http.get(self.url + path) as response:
            if response.status >= 400:
                raise _error(response.status, await response.read())
            async for piece in response.content.iter_any():
                yield piece


class RemoteRun:
    """A run of a server."""

    def __init__(self, server: RemoteServer, number: str) -> None:
        self.id = number
        self._server = server
        self._path = f"/v1/runs/{number}"

    async def view(self) -> RunView:
        """How it stands, and what it has come to."""
        return msgspec.json.decode(await self._server._ask("GET", self._path), type=RunView)

    async def wait(self, every_s: float = 1.0) -> RunView:
        """How it ended, once it has."""
        while True:
            view = await self.view()
            if view.state.is_over:
                return view
            await anyio.sleep(every_s)

    async def stop(self) -> None:
        """End it; what it committed stays."""
        await self._server._ask("POST", f"{self._path}/stop")

    async def delete(self) -> None:
        """Remove it, once it is over."""
        await self._server._ask("DELETE", self._path)

    async def command(self, name: str, **arguments: Any) -> str | None:
        """Steer it: `pause`, `resume`, `concurrency`, `cancel`. Its answer; None if there is none
        yet.
        """
        body = {"name": name, "arguments": arguments}
        told = await self._server._ask("POST", f"{self._path}/commands", body=body)
        answer: str | None = msgspec.json.decode(told)["answer"]
        return answer

    async def events(self, after: int = 0) -> AsyncIterator[RunEvent]:
        """What is written to it from cursor `after` on, until it ends. A connection that breaks is
        made again, and goes on where it was.
        """
        cursor, waits = after, iter(_TRY_AGAIN_S)
        while True:
            try:
                stream = self._server._stream(f"{self._path}/events?after={cursor}")
                async for event in read_events(stream):
                    if event is None:
                        return
                    cursor, waits = event.cursor, iter(_TRY_AGAIN_S)
                    yield event
                failure: Exception = EndpointUnavailable(
                    f"{self._server.url}: the stream broke off"
                )
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                failure = EndpointUnavailable(
                    f"{self._server.url}: {error or type(error).__name__}"
                )
            try:
                await anyio.sleep(next(waits))
            except StopIteration:
                raise failure from None

    async def log(self) -> str:
        """The last that its processes said."""
        told = await self._server._ask("GET", f"{self._path}/log")
        return told.decode(errors="replace")

    async def download(self, path: Path) -> None:
        """Its record as it is now, as a database that everything here reads."""
        partial = path.with_name(f".{path.name}.partial")
        try:
            async with await anyio.open_file(partial, "wb") as file:
                async for piece in self._server._stream(f"{self._path}/database"):
                    await file.write(piece)
            await anyio.Path(partial).replace(path)
        finally:
            with suppress(FileNotFoundError):
                await anyio.Path(partial).unlink()


async def read_events(stream: AsyncIterator[bytes]) -> AsyncIterator[RunEvent | None]:
    """The events in a `text/event-stream` of ours; None at the end of the run."""
    rest = b""
    async for piece in stream:
        *frames, rest = (rest + piece).split(b"\n\n")
        for frame in frames:
            fields = dict(line.partition(b": ")[::2] for line in frame.split(b"\n"))
            if fields.get(b"event") == b"end":
                yield None
            if fields.get(b"event") == b"rows":
                rows = msgspec.json.decode(fields[b"data"], type=_Rows)
                yield RunEvent(int(fields[b"id"]), rows.table, rows.first, rows.last)


def _token(token: str | None, file: str | Path | None) -> str:
    if token:
        return token
    if file is not None:
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    found = os.environ.get(TOKEN_ENV)
    if not found:
        raise ConfigError(
            f"no token for the server: name its file (--token-file), or put it into {TOKEN_ENV}"
        )
    return found


def _error(status: int, told: bytes) -> EndpointError:
    try:
        said = msgspec.json.decode(told, type=Problem).detail
    except msgspec.MsgspecError:
        said = f"HTTP {status}"
    kind = EndpointUnavailable if status >= 500 or status == 429 else EndpointRefused
    error = kind(said)
    error.status = status
    return error


def _texts(directory: Path) -> tuple[str, dict[str, str]]:
    """The name of an environment, and its files by their places in it. Raises `ConfigError`."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    shown = {str(path.relative_to(directory)): path for path in files}
    try:
        texts = {name: path.read_text() for name, path in shown.items() if name[0] != "."}
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{directory}: cannot be read: {error}") from error
    return directory.resolve().name, texts
