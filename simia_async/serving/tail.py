"""What is written to a run, for any number of listeners at the cost of one reader.

Frames of the newest events are kept ready in memory; whoever is further behind is served from the
database, at their own pace. Nothing is queued for anybody.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import msgspec
from simia_store import EventRecord, Reader, StoreError

_LOOK_EVERY_S = 0.25
_IDLE_S = 1.0
"""After so long without news a listener is told that there are none."""
_AT_ONCE = 500
"""Events of one read, and of one write to a listener."""
_KEPT = 5000
"""Frames that are kept ready."""


class RunTail:
    """The events of one run as frames of a `text/event-stream`. `follow` it in the background."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=_KEPT)
        self._newest = 0
        self._written = anyio.Event()
        self.listeners = 0

    async def follow(self) -> None:
        """Read on as the run is written, until cancelled."""
        reader = await self._open()
        try:
            version = -1
            self._newest = await anyio.to_thread.run_sync(reader.newest_event)
            self._wake()
            while True:
                seen = await anyio.to_thread.run_sync(reader.data_version)
                if seen != version:
                    version = seen
                    await self._read_on(reader)
                await anyio.sleep(_LOOK_EVERY_S)
        finally:
            reader.close()

    async def frames(self, cursor: int) -> AsyncGenerator[bytes]:
        """What came after event `cursor`, some events at once; empty where nothing came."""
        while True:
            if ready := await self._ready(cursor):
                cursor = ready[-1][0]
                yield b"".join(frame for _, frame in ready)
                continue
            is_news = False
            with anyio.move_on_after(_IDLE_S):
                await self._written.wait()
                is_news = True
            if not is_news:
                yield b""

    async def _open(self) -> Reader:
        """The run's record, once it is begun."""
        while True:
            with suppress(StoreError):
                return await anyio.to_thread.run_sync(Reader, self._database)
            await anyio.sleep(_LOOK_EVERY_S)

    async def _ready(self, cursor: int) -> list[tuple[int, bytes]]:
        if cursor >= self._newest:
            return []
        if self._frames and self._frames[0][0] <= cursor + 1:
            newer = takewhile(lambda each: each[0] > cursor, reversed(self._frames))
            return list(newer)[::-1][:_AT_ONCE]
        events = await anyio.to_thread.run_sync(_events, self._database, cursor)
        return [(event.sequence, frame_of(event)) for event in events]

    async def _read_on(self, reader: Reader) -> None:
        while True:
            read = partial(reader.events_after, self._newest, _AT_ONCE)
            events = await anyio.to_thread.run_sync(read)
            if not events:
                return
            self._frames.extend((event.sequence, frame_of(event)) for event in events)
            self._newest = events[-1].sequence
            self._wake()

    def _wake(self) -> None:
        self._written.set()
        self._written = anyio.Event()


class Tails:
    """Those of all runs that somebody listens to."""

    def __init__(self, background: anyio.abc.TaskGroup) -> None:
        self._background = background
        self._tails: dict[Path, tuple[RunTail, anyio.CancelScope]] = {}

    @asynccontextmanager
    async def listening(self, database: Path) -> AsyncIterator[RunTail]:
        """The tail of a run, which is read as long as anybody listens."""
        if database not in self._tails:
            self._tails[database] = RunTail(database), anyio.CancelScope()
            self._background.start_soon(self._follow, *self._tails[database])
        tail, scope = self._tails[database]
        tail.listeners += 1
        try:
            yield tail
        finally:
            tail.listeners -= 1
            if tail.listeners == 0:
                scope.cancel()
                self._tails.pop(database, None)

    async def _follow(self, tail: RunTail, scope: anyio.CancelScope) -> None:
        with scope:
            await tail.follow()


def frame_of(event: EventRecord) -> bytes:
    """An event as the stream carries it."""
    rows: dict[str, Any] = {"table": event.kind, "first": event.first, "last": event.last}
    return b"id: %d\nevent: rows\ndata: %s\n\n" % (event.sequence, msgspec.json.encode(rows))


def _events(database: Path, cursor: int) -> list[EventRecord]:
    with Reader(database) as reader:
        return reader.events_after(cursor, _AT_ONCE)
