"""The owner's writer: records in, one commit for all that arrived meanwhile, then the answer."""

import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from simia_store.errors import StoreError
from simia_store.ownership import Ownership
from simia_store.records import Record
from simia_store.schema import (
    IDENTITY,
    check_identity,
    creation_script,
    insert_statement,
    to_row,
)

_QUEUE = 1000
"""Appends that may wait for a commit before callers are held back."""


class _Append:
    """Records that go into one transaction together, and the event that says they are in."""

    def __init__(self, records: tuple[Record, ...]) -> None:
        self.rows = [(type(record), to_row(record)) for record in records]
        self.committed = anyio.Event()
        self.failure: Exception | None = None


class Store:
    """The record of one run, open for writing. Made by `open_store`."""

    def __init__(
        self, path: Path, queue: MemoryObjectSendStream[_Append], last_trajectory: int
    ) -> None:
        self.path = path
        self._queue = queue
        self._trajectory_ids: Iterator[int] = itertools.count(last_trajectory + 1)

    def new_trajectory_id(self) -> int:
        """An id that no trajectory of this run has."""
        return next(self._trajectory_ids)

    async def append(self, *records: Record) -> None:
        """Write `records` in one transaction. Returns when they are committed.

        Raises `StoreError` if they could not be written.
        """
        try:
            append = _Append(records)
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"{self.path}: cannot be stored: {error}") from error
        try:
            await self._queue.send(append)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise StoreError(f"{self.path}: the store is closed") from error
        # A cancelled caller must not unhook from a write that will happen all the same.
        with anyio.CancelScope(shield=True):
            await append.committed.wait()
        if append.failure is not None:
            raise StoreError(f"{self.path}: not written: {append.failure}") from append.failure


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    """Own the database at `path`, making it if it is not there.

    Raises `StoreError` if another process owns it, it is no run database, it comes from a newer
    version, or the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
    ownership = Ownership(path)
    try:
        database = await _connect(path)
        try:
            send, receive = anyio.create_memory_object_stream[_Append](_QUEUE)
            async with database.execute("SELECT coalesce(max(id), 0) FROM trajectories") as cursor:
                row = await cursor.fetchone()
            async with anyio.create_task_group() as group:
                group.start_soon(_write_all, database, receive)
                try:
                    yield Store(path, send, row[0] if row else 0)
                finally:
                    send.close()
        finally:
            with anyio.CancelScope(shield=True):
                await database.close()
    finally:
        ownership.release()


async def _connect(path: Path) -> aiosqlite.Connection:
    try:
        # Under isolation_level None every transaction is one that this module began.
        database = await aiosqlite.connect(path, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error
    try:
        identity = []
        for query in IDENTITY:
            async with database.execute(query) as cursor:
                identity += list(await cursor.fetchone() or ())
        # Nothing is changed in a file that turns out to be somebody else's.
        new = check_identity(path, *identity)
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = NORMAL")
        await database.execute("PRAGMA journal_size_limit = 67108864")
        if new:
            await database.executescript(creation_script())
    except sqlite3.Error as error:
        await database.close()
        raise StoreError(f"{path}: not a run database: {error}") from error
    except StoreError:
        await database.close()
        raise
    return database


async def _write_all(
    database: aiosqlite.Connection, queue: MemoryObjectReceiveStream[_Append]
) -> None:
    """Commit whatever is waiting, again and again, until the queue is closed and empty."""
    with anyio.CancelScope(shield=True), queue:
        async for first in queue:
            waiting = [first]
            while True:
                try:
                    waiting.append(queue.receive_nowait())
                except (anyio.WouldBlock, anyio.EndOfStream):
                    break
            if await _commit(database, waiting) is not None:
                # One of them spoils the transaction: each gets its own, so that one fails alone.
                for append in waiting:
                    append.failure = await _commit(database, [append])
            for append in waiting:
                append.committed.set()


async def _commit(database: aiosqlite.Connection, appends: list[_Append]) -> Exception | None:
    """One transaction. Within it the order of records is kept; runs of one type go in at once."""
    rows = (row for append in appends for row in append.rows)
    try:
        await database.execute("BEGIN IMMEDIATE")
        for record_type, same in groupby(rows, lambda row: row[0]):
            values: list[tuple[Any, ...]] = [row for _, row in same]
            await database.executemany(insert_statement(record_type), values)
        await database.execute("COMMIT")
    except Exception as error:  # whatever it is, those who wait must hear of it
        with contextlib.suppress(sqlite3.Error):
            await database.execute("ROLLBACK")
        return error
    return None
