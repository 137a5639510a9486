"""A server from elsewhere: submit runs, watch and steer them, fetch what they made.

async with simia_async.connect("http://gpu:8600") as server:
run = await server.submit("generate", environment="retail", n=1000)
async for event in run.events():
...
"""

import hashlib
import os
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import anyio
import msgspec
from simia_store import CommandStatus

from simia_async.config.fields import Settings
from simia_async.config.resolve import kind_of
from simia_async.errors import ConfigError, EndpointRefused, EndpointUnavailable
from simia_async.serving.client_downloads import (
    TRY_AGAIN_S,
    error_of,
    fetch_directory,
    fetch_file,
)
from simia_async.serving.client_events import RunEvent, read_events
from simia_async.serving.views import CommandView, RunView

TOKEN_ENV = "SIMIA_SERVER_TOKEN"  # noqa: S105 (a name, not a token)
_LOOK_AGAIN_S = 0.5
_LONGEST_SILENCE_S = 30.0
"""A stream that says nothing for so long is broken: the server speaks every second."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | None = None,
    token_file: str | Path | None = None,
    ca_file: str | Path | None = None,
) -> "AsyncIterator[RemoteServer]":
    """The server at `url`. The token is given, or in a file, or in `SIMIA_SERVER_TOKEN`. A server
    whose certificate the system does not know is trusted by `ca_file`, PEM.

    Raises `ConfigError` if there is no token, `EndpointUnavailable` if nobody answers there, or
    somebody whose certificate nobody vouches for.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_LONGEST_SILENCE_S)
    headers = {"Authorization": f"Bearer {_token(token, token_file)}"}
    connector = aiohttp.TCPConnector(ssl=_trusting(ca_file))
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as http:
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
        """A run of this kind (`generate`, `tasks`, `rollout`, `judge`, `sft`, `rl`, `eval`, `luck`,
        `fidelity`, `agreement`) with these settings, or one of settings as a whole. `data` are the
        runs that an SFT run learns from, that is judged again, whose luck is measured.

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
        """Seeds, tasks or a rubric; what submissions name it by, which tells of its content: files
        of one name from different places do not get in each other's way.
        """
        stem, suffix = Path(name).stem[:60], Path(name).suffix
        told = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
        await self._ask("PUT", f"/v1/files/{quote(told, safe='')}", data=content)
        return told

    async def send_environment(self, directory: Path) -> str:
        """An environment's directory; what submissions name it by."""
        name, files = await anyio.to_thread.run_sync(_texts, directory)
        await self._ask("PUT", f"/v1/environments/{quote(name, safe='')}", body={"files": files})
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
        for wait_s in (*TRY_AGAIN_S, None):
            try:
                async with self._http.request(
                    method, self.url + path, data=sent, headers=headers
                ) as response:
                    told = await response.read()
                    if response.status < 400:
                        return told
                    error = error_of(response.status, told)
                    if response.status not in (429, 502, 503):
                        raise error
            except aiohttp.ClientConnectorCertificateError as failure:
                raise EndpointUnavailable(f"{self.url}: {failure}; --ca names whom to trust") from (
                    failure
                )
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as failure:
                error = EndpointUnavailable(f"{self.url}: {failure or type(failure).__name__}")
            if wait_s is not None:
                await anyio.sleep(wait_s)
        raise error

    async def _stream(self, path: str) -> AsyncIterator[bytes]:
        async with self._http.get(self.url + path) as response:
            if response.status >= 400:
                raise error_of(response.status, await response.read())
            async for piece in response.content.iter_any():
                yield piece

    async def _fetch(self, path: str, file: Path | str) -> None:
        await fetch_file(self._http, self.url + path, Path(file))

    async def _fetch_directory(self, path: str, directory: Path | str) -> None:
        await fetch_directory(self._http, self.url + path, Path(directory))


class RemoteRun:
    """A run of a server."""

    def __init__(self, server: RemoteServer, number: str) -> None:
        self.id = number
        self._server = server
        self._path = f"/v1/runs/{quote(number, safe='')}"

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

    async def command(self, name: str, *, until_done: bool = False, **arguments: Any) -> str | None:
        """Steer it: `pause`, `resume`, `concurrency`, `cancel`, `stop_after_step`, `checkpoint`,
        `rejudge`. Its answer; None if there is none yet. The last three take time: they are
        answered with what will be done, or with `until_done` once it is.

        Raises `EndpointRefused` if the run refuses.
        """
        place, body = f"{self._path}/commands", {"name": name, "arguments": arguments}
        told = await self._server._ask("POST", place, body=body)
        said = msgspec.json.decode(told, type=CommandView)
        while until_done and said.status == CommandStatus.WAITING and said.answer is not None:
            await anyio.sleep(_LOOK_AGAIN_S)
            told = await self._server._ask("GET", f"{place}/{said.number}")
            said = msgspec.json.decode(told, type=CommandView)
        if said.status == CommandStatus.REFUSED:
            raise EndpointRefused(f"the run refused to {name}: {said.answer}")
        return said.answer

    async def events(self, after: int = 0) -> AsyncIterator[RunEvent]:
        """What is written to it from cursor `after` on, until it ends. A connection that breaks is
        made again, and goes on where it was.
        """
        cursor, waits = after, iter(TRY_AGAIN_S)
        while True:
            try:
                stream = self._server._stream(f"{self._path}/events?after={cursor}")
                async for event in read_events(stream):
                    if event is None:
                        return
                    cursor, waits = event.cursor, iter(TRY_AGAIN_S)
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

    async def download(self, path: Path | str) -> None:
        """Its record as it is now, as a database that everything here reads."""
        await self._server._fetch(f"{self._path}/database", path)

    async def export(self, out: Path | str, form: str = "openai") -> None:
        """The data set of what it kept, as `simia export` writes it, in the new directory `out`.

        `form` is one of `openai`, `hermes`, `sharegpt`, `llama3`, `parquet`.
        """
        await self._server._fetch_directory(
            f"{self._path}/export?format={quote(form, safe='')}", out
        )

    async def adapter(self, version: str, out: Path | str) -> None:
        """An adapter that it published, such as `v00001`, in the new directory `out`."""
        await self._server._fetch_directory(f"{self._path}/adapters/{quote(version, safe='')}", out)

    async def tasks(self, path: Path | str) -> None:
        """The file of tasks that a run of the kind `tasks` made."""
        await self._server._fetch(f"{self._path}/tasks", path)

    async def card(self, evaluations: Sequence[str] = (), meters: Sequence[str] = ()) -> str:
        """One page on it as Markdown, with what these runs of the server tell of it."""
        beside = [("eval", each) for each in evaluations] + [("meter", each) for each in meters]
        told = await self._server._ask("GET", f"{self._path}/card?{urlencode(beside)}")
        return told.decode()


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


def _trusting(ca_file: str | Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{ca_file}: holds no certificates: {error}") from error
    return context


def _texts(directory: Path) -> tuple[str, dict[str, str]]:
    """The name of an environment, and its files by their places in it. Raises `ConfigError`."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    shown = {str(path.relative_to(directory)): path for path in files}
    try:
        texts = {name: path.read_text() for name, path in shown.items() if name[0] != "."}
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{directory}: cannot be read: {error}") from error
    return directory.resolve().name, texts
