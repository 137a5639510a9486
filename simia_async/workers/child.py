"""A worker as a child process: frames over standard input and output, until its owner goes."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping

from simia_async.speed import run_fast
from simia_async.supervision.frames import Unpacker, framed
from simia_async.workers.frames import FromWorker, ToWorker, body_of, to_worker
from simia_async.workers.host import Host, OpenJob


def run_child(jobs: Mapping[str, OpenJob]) -> None:
    """Work until the owner closes the pipe, whatever closed it: no orphan survives."""
    # The terminal's Ctrl-C is for the owner, who ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    writing = os.dup(sys.stdout.fileno())
    # What anything prints is no frame.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    run_fast(_serve, jobs, writing)
    # Threads that are in the middle of something are nobody's concern any more.
    os._exit(0)


async def _serve(jobs: Mapping[str, OpenJob], writing: int) -> None:
    loop = asyncio.get_running_loop()
    inbox = Inbox()
    await loop.connect_read_pipe(lambda: inbox, sys.stdin)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb"))
    outbox = Outbox(transport.write)
    place = f"pid {os.getpid()} on {socket.gethostname()}"
    await Host(jobs, outbox.tell, place).serve(inbox.hear)
    # Its last frame, which says why it cannot begin, may not be out yet.
    await asyncio.sleep(0)


class Outbox:
    """Frames of one turn of the loop go out as one message."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._frames: list[FromWorker] = []

    def tell(self, frame: FromWorker) -> None:
        """Send a frame, soon."""
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush)
        self._frames.append(frame)

    def _flush(self) -> None:
        frames, self._frames = self._frames, []
        self._write(framed(body_of(frames)))


class Inbox(asyncio.Protocol):
    """What comes in from the owner."""

    def __init__(self) -> None:
        self._unpacker = Unpacker()
        self._frames: list[ToWorker] = []
        self._news = asyncio.Event()
        self._is_over = False

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        for body in self._unpacker.feed(data):
            self._frames += to_worker(body)
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the loop's signature)
        """The owner is gone, or wants no more."""
        self._is_over = True
        self._news.set()

    async def hear(self) -> list[ToWorker]:
        """The frames that came next; none at the end."""
        while not self._frames and not self._is_over:
            self._news.clear()
            await self._news.wait()
        frames, self._frames = self._frames, []
        return frames
