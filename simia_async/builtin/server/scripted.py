"""The scripted server in the process that tests against it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiohttp import web

from simia_async.builtin.server.app import build_app
from simia_async.builtin.server.conduct import Conduct
from simia_async.errors import ConfigError
from simia_async.supervision.listening import BACKLOG, is_loopback, listen


class ScriptedServer(Conduct):
    """An OpenAI-compatible server on the running loop; up inside `async with`.

    Rule-based, not an LLM. Its settings are those of `Conduct`, and may be changed while it runs.
    """

    _runner: web.AppRunner | None = None
    _host = "127.0.0.1"
    port = 0
    """Where it listens; 0 before it is up."""

    @property
    def url(self) -> str:
        """Scheme, host and port. What Azure's client calls its endpoint."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What OpenAI's client calls its base URL: up to `/v1`."""
        return f"{self.url}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 picks one. Beyond loopback only with an `api_key`.

        Raises `ConfigError` without one, and where the address cannot be had.
        """
        if not is_loopback(host) and self._api_key is None:
            raise ConfigError(f"a server that listens on {host} needs a key that clients must send")
        runner = web.AppRunner(build_app(self), access_log=None, handler_cancellation=True)
        await runner.setup()
        self._runner, self._host, self.port = runner, host, port
        try:
            await self._listen()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection, answered or not. The log stays readable."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.log.close()

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        """Inside, connections are refused, and those that were open are cut."""
        runner = self._runner
        assert runner is not None, "the server is not up"
        for site in list(runner.sites):
            await site.stop()
        assert runner.server is not None
        for connection in runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)
        try:
            yield
        finally:
            await self._listen()

    async def _listen(self) -> None:
        assert self._runner is not None
        listener = listen(self._host, self.port)
        await web.SockSite(self._runner, listener, backlog=BACKLOG).start()
        self.port = listener.getsockname()[1]
