"""The owner's writer: records in, one commit for all that arrived meanwhile, then the answer."""

import asyncio
import contextlib
import itertools
import os
import platform
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import anyio
import msgspec

from simia_store.database import Database, Written
from simia_store.errors import StoreError
from simia_store.ownership import Ownership
from simia_store.records import (
    CommandRecord,
    CommandStatus,
    Record,
    SessionRecord,
    TrajectoryRecord,
)

_QUEUE = 10_000
"""Appends that may wait for a commit before callers are held back."""
_COMMIT_EVERY_S = 0.008
"""Least time from one commit's beginning to the next: what arrives meanwhile goes in together."""
_BEAT_EVERY_S = 2.0


class WriterStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a screen shows of the writer. Times in seconds."""

    waiting: int
    """Appends that wait for their commit."""
    appends: int
    records: int
    failed: int
    """Appends that could not be written."""
    commits: int
    cpu_s: float
    """CPU time of its thread."""
    last_commit_s: float
    slowest_commit_s: float


class Store:
    """The record of one run, open for writing. Made by `open_store`."""

    def __init__(self, path: Path, database: Database, last_trajectory: int) -> None:
        self.path = path
        self._database = database
        self._trajectory_ids: Iterator[int] = itertools.count(last_trajectory + 1)
        self._waiting: deque[tuple[tuple[Record, ...], asyncio.Future[None]]] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._appends = self._records = self._failed = self._commits = 0
        self._cpu_s = self._last_commit_s = self._slowest_commit_s = 0.0

    def new_trajectory_id(self) -> int:
        """An id that no trajectory of this run has."""
        return next(self._trajectory_ids)

    def keep_ids_free(self, up_to: int) -> None:
        """Give no new id that is not above `up_to`: the owner numbers those itself."""
        self._trajectory_ids = itertools.count(max(up_to + 1, next(self._trajectory_ids)))

    async def append(self, *records: Record) -> None:
        """Write `records` in one transaction. Returns when they are committed.

        They are written even if the caller is cancelled meanwhile. Raises `StoreError` if they
        could not be written.
        """
        while len(self._waiting) >= _QUEUE:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise StoreError(f"{self.path}: the store is closed")
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, committed))
        self._arrived.set()
        await committed

    def statistics(self) -> WriterStatistics:
        """The writer as it stands."""
        return WriterStatistics(
            waiting=len(self._waiting),
            appends=self._appends,
            records=self._records,
            failed=self._failed,
            commits=self._commits,
            cpu_s=self._cpu_s,
            last_commit_s=self._last_commit_s,
            slowest_commit_s=self._slowest_commit_s,
        )

    async def waiting_commands(self) -> list[CommandRecord]:
        """Commands that other processes have left for the owner, oldest first."""
        try:
            rows = await self._database.execute_fetchall(
                # The index is of those that are 'waiting', which SQLite must see written out.
                "SELECT id, name, arguments, created_at, answer FROM commands"
                " WHERE status = 'waiting' ORDER BY id"
            )
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: commands cannot be read: {error}") from error
        return [
            CommandRecord(number, name, msgspec.json.decode(arguments), created_at, answer=answer)
            for number, name, arguments, created_at, answer in rows
        ]

    async def take_up(self, command: CommandRecord, answer: str) -> None:
        """Tell whoever left `command` what is being done about it, which takes time."""
        await self.append(msgspec.structs.replace(command, answer=answer))

    async def answer(
        self, command: CommandRecord, status: CommandStatus, answer: str | None = None
    ) -> None:
        """Tell whoever left `command` what became of it."""
        await self.append(
            msgspec.structs.replace(command, status=status, answer=answer, handled_at=time.time())
        )

    async def write_all(self) -> None:
        """Commit whatever waits, again and again, until the store is closed and nothing does."""
        try:
            await self._write_all()
        finally:
            # A writer that is cancelled leaves nobody waiting for it.
            self.close()
            self._fail(self._waiting)

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        next_commit = loop.time()
        while True:
            await self._arrived.wait()
            if not self._waiting:
                if self._closed:
                    return
                self._arrived.clear()
                continue
            if (pause := next_commit - loop.time()) > 0 and not self._closed:
                await asyncio.sleep(pause)
            started = loop.time()
            next_commit = started + _COMMIT_EVERY_S
            batch = list(self._waiting)
            self._waiting.clear()
            await self._commit(batch)
            self._room.set()
            self._last_commit_s = loop.time() - started
            self._slowest_commit_s = max(self._slowest_commit_s, self._last_commit_s)

    async def _commit(self, batch: list[tuple[tuple[Record, ...], asyncio.Future[None]]]) -> None:
        try:
            written = await self._database.write([records for records, _ in batch])
        except Exception as error:  # those who wait must hear of it, whatever it is
            written = Written([error] * len(batch), 0, 0.0)
        except BaseException:
            self._fail(batch)
            raise
        self._commits += written.commits
        self._cpu_s += written.cpu_s
        for (records, committed), failure in zip(batch, written.failures, strict=True):
            if failure is None:
                self._appends += 1
                self._records += len(records)
            else:
                self._failed += 1
            if committed.done():
                continue  # its caller was cancelled
            if failure is None:
                committed.set_result(None)
            else:
                complaint = StoreError(f"{self.path}: not written: {failure}")
                complaint.__cause__ = failure
                committed.set_exception(complaint)

    def _fail(self, appends: Iterable[tuple[tuple[Record, ...], asyncio.Future[None]]]) -> None:
        for _, committed in appends:
            if not committed.done():
                committed.set_exception(StoreError(f"{self.path}: the store's writer was ended"))

    async def beat(self, session: SessionRecord) -> None:
        """Say now and then that the owner lives."""
        while True:
            await asyncio.sleep(_BEAT_EVERY_S)
            # A full disk is told to those who have something to lose.
            with contextlib.suppress(StoreError):
                await self.append(msgspec.structs.replace(session, beat_at=time.time()))

    def close(self) -> None:
        """Take nothing more; what waits is still written."""
        self._closed = True
        self._arrived.set()
        self._room.set()


@asynccontextmanager
async def open_store(path: Path, *, durable: bool = False) -> AsyncIterator[Store]:
    """Own the database at `path`, making it if it is not there, migrating it if it is old.

    What `append` acknowledged survives the process; with `durable` a power cut too, at the price
    of an fsync a commit. Raises `StoreError` if another process owns it, it is no run database, it
    comes from a newer version, or the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
    with Ownership(path):
        database = await Database.open(path, durable=durable)
        try:
            store = Store(path, database, await database.highest(TrajectoryRecord))
            number = await database.highest(SessionRecord) + 1
            async with _running(store, _new_session(number)):
                yield store
        finally:
            # A cancelled owner still closes its database properly.
            with anyio.CancelScope(shield=True):
                await database.close()


@asynccontextmanager
async def _running(store: Store, session: SessionRecord) -> AsyncIterator[None]:
    """The writer and the heartbeat, as long as the session lasts."""
    writer = asyncio.create_task(store.write_all(), name="store-writer")
    beat = asyncio.create_task(store.beat(session), name="store-heartbeat")
    try:
        await store.append(session)
        yield
    finally:
        beat.cancel()
        with anyio.CancelScope(shield=True):
            now = time.time()
            with contextlib.suppress(StoreError):
                await store.append(msgspec.structs.replace(session, beat_at=now, ended_at=now))
            store.close()
            await writer


def _new_session(number: int) -> SessionRecord:
    now = time.time()
    return SessionRecord(number, os.getpid(), platform.node(), version("simia-async"), now, now)
