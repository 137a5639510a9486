"""A worker as a child of its owner: messages over pipes. It goes when its owner does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from simia_async.supervision.frames import framed
from simia_async.supervision.process import ChildProcess
from simia_async.workers.link import Connect, Link, WorkerLost


class LocalLink:
    """The owner's end of the pipes."""

    can_outlive = False

    def __init__(self, child: ChildProcess) -> None:
        self._child = child

    async def send(self, body: bytes) -> None:
        """Into the pipe; waits while that is full."""
        if not await self._child.write(framed(body)):
            raise WorkerLost(str(await self._child.obituary()))

    async def receive(self) -> list[bytes]:
        """The next messages."""
        bodies = await self._child.read()
        if not bodies:
            raise WorkerLost(str(await self._child.obituary()))
        return bodies


def connect_local(module: str) -> Connect:
    """Workers that run `python -m module`."""

    @asynccontextmanager
    async def connect(name: str) -> AsyncIterator[Link]:
        async with ChildProcess.start(name, module, []) as child:
            yield LocalLink(child)

    return connect
