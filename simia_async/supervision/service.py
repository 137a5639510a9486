"""A child that serves HTTP: started again on the same port when it dies."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from simia_async.errors import ChildFailed, single_error
from simia_async.supervision.frames import Ready
from simia_async.supervision.process import ChildProcess

Report = Callable[[str], None]
"""Told, in one sentence, what happened to a child."""

RESTARTS = 3

CHILD_BACKOFF_S = 1.0
"""Longest wait of a client between two attempts: a child is back within seconds."""


class Service:
    """A served child. Made by `run_service`."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Callable[[], Sequence[str]],
        report: Report,
        port: int,
    ) -> None:
        self.name = name
        self.port = port
        self.pid = 0
        self._module = module
        self._arguments = arguments
        self._report = report

    @property
    def base_url(self) -> str:
        """The same over restarts."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep the child alive. Raises `ChildFailed` when it died more than `RESTARTS` times."""
        for life in range(RESTARTS + 1):
            arguments = ["--port", str(self.port), *self._arguments()]
            async with ChildProcess.start(self.name, self._module, arguments) as child:
                ready = await child.receive()
                assert isinstance(ready, Ready)
                self.port, self.pid = ready.port, child.pid
                if life == 0:
                    task_status.started()
                try:
                    await child.receive()
                except ChildFailed as death:
                    if life == RESTARTS:
                        raise
                    self._report(f"{death}; starting it again ({life + 1} of {RESTARTS})")


@asynccontextmanager
async def run_service(
    name: str,
    module: str,
    report: Report,
    arguments: Callable[[], Sequence[str]] = list,
    port: int = 0,
) -> AsyncIterator[Service]:
    """A service that is up on entry and gone on exit. `arguments` is asked at every start; port 0
    picks one, which is kept.
    """
    service = Service(name, module, arguments, report, port)
    with single_error():
        async with anyio.create_task_group() as group:
            await group.start(service.serve)
            yield service
            group.cancel_scope.cancel()
