"""The owner's connection: aiosqlite, with a whole transaction for one hop to its thread.

aiosqlite hops to its thread and back for every statement, which costs more than the statement.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import anyio.to_thread
import msgspec

from simia_store.errors import StoreError
from simia_store.records import CallRecord, Record
from simia_store.rows import insert_statement, to_row
from simia_store.schema import SCHEMA_VERSION, TABLES, check_identity, migrate
from simia_store.usage import ADD_USAGE, usage_of

_STATEMENTS = {record_type: insert_statement(record_type) for record_type in TABLES}
_EVENT = "INSERT INTO events (kind, first, last) VALUES (?, ?, ?)"
_LOCK_TIMEOUT_S = 30.0
"""How long to wait while another process inserts a command."""

_PRAGMAS = (
    "journal_mode = WAL",
    "journal_size_limit = 67108864",
    "wal_autocheckpoint = 4000",
    "cache_size = -65536",
    "temp_store = MEMORY",
)


class Written(msgspec.Struct, frozen=True, gc=False):
    """What one hop came to."""

    failures: list[Exception | None]
    """One per append: why it was not written."""
    commits: int
    cpu_s: float
    """CPU time of the thread."""


class Database(aiosqlite.Connection):
    """Opened by `Database.open`, closed by `close`. Only one task may use it at a time."""

    @classmethod
    async def open(cls, path: Path, *, durable: bool) -> "Database":
        """Open the database, making or migrating it.

        Raises `StoreError` if it is not ours, is newer, or cannot be opened.
        """
        try:
            connection = await anyio.to_thread.run_sync(lambda: _connect(path, durable=durable))
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {_complaint(error)}") from error
        # Only now: a connection that fails to open leaves aiosqlite's thread behind.
        database = cls(lambda: connection, iter_chunk_size=64)
        await database
        return database

    async def write(self, appends: Sequence[tuple[Record, ...]]) -> Written:
        """Write all appends in one transaction, or, if one of them spoils it, in one each."""
        written: Written = await self._execute(self._write, appends)  # type: ignore[no-untyped-call]
        return written

    async def highest(self, record_type: type[Any]) -> int:
        """The highest key in a table; 0 if it is empty."""
        table = TABLES[record_type]
        rows = await self.execute_fetchall(
            f"SELECT coalesce(max({table.key}), 0) FROM {table.name}"
        )
        return int(next(iter(rows))[0])

    def _write(self, appends: Sequence[tuple[Record, ...]]) -> Written:
        started = time.thread_time()
        failures: list[Exception | None] = [None] * len(appends)
        commits = 1
        if self._commit(appends) is not None:
            for index, append in enumerate(appends):
                failures[index] = self._commit([append])
            commits = failures.count(None)
        return Written(failures, commits, time.thread_time() - started)

    def _commit(self, appends: Sequence[tuple[Record, ...]]) -> Exception | None:
        database = self._conn
        try:
            records: defaultdict[type[Record], list[Any]] = defaultdict(list)
            for append in appends:
                for record in append:
                    records[type(record)].append(record)
            rows = {kind: list(map(to_row, same)) for kind, same in records.items()}
            database.execute("BEGIN IMMEDIATE")
            events = [
                event
                for record_type in TABLES
                if record_type in rows
                for event in _insert(database, record_type, rows[record_type])
            ]
            database.executemany(_EVENT, events)
            if CallRecord in records:
                database.executemany(ADD_USAGE, usage_of(records[CallRecord]))
            database.execute("COMMIT")
        except Exception as error:  # whatever it is, those who wait must hear of it
            if database.in_transaction:
                database.execute("ROLLBACK")
            return error
        return None


def _insert(
    database: sqlite3.Connection, record_type: type[Any], rows: list[tuple[Any, ...]]
) -> list[tuple[str, int, int]]:
    """Insert rows of one type; the events that say so."""
    table = TABLES[record_type]
    database.executemany(_STATEMENTS[record_type], rows)
    if not table.numbered:
        return [(table.name, 0, 0)]
    if table.key is None:
        (last,) = database.execute("SELECT last_insert_rowid()").fetchone()
        return [(table.name, last - len(rows) + 1, last)]
    column = record_type.__struct_fields__.index(table.key)
    return [(table.name, *stretch) for stretch in _stretches({row[column] for row in rows})]


def _stretches(numbers: set[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers as (first, last), in order."""
    stretches: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if stretches and stretches[-1][1] == number - 1:
            stretches[-1] = (stretches[-1][0], number)
        else:
            stretches.append((number, number))
    return stretches


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    is_new = not path.exists()
    # Under isolation_level None every transaction is one that this module began.
    database = sqlite3.connect(
        path, isolation_level=None, timeout=_LOCK_TIMEOUT_S, check_same_thread=False
    )
    try:
        # Nothing is changed in a file that turns out to be somebody else's.
        version = check_identity(database, path)
        for pragma in _PRAGMAS:
            database.execute(f"PRAGMA {pragma}")
        database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        if version < SCHEMA_VERSION:
            migrate(database, version)
    except BaseException:
        database.close()
        if is_new:
            # One that was made in vain would stand in the way of the next try.
            for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                file.unlink(missing_ok=True)
        raise
    return database


def _complaint(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return f"not a run database: {error}"
    if code == sqlite3.SQLITE_CORRUPT:
        return f"damaged: {error}"
    return f"cannot be opened: {error}"
