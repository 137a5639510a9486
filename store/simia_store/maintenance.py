"""Looking after the database of a run that nobody owns: upgrade, compact, delete."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from simia_store.compression import Compressor, is_compressed
from simia_store.errors import StoreError
from simia_store.ownership import Ownership
from simia_store.readonly import connect_to_any, connect_to_read
from simia_store.schema import SCHEMA_VERSION, check_identity, migrate

_SAMPLES = 2000
"""Turns whose payloads a compression dictionary is trained on."""
_SAMPLE_BYTES = 4096
"""How much of each payload: what repeats between payloads is short."""
_BATCH = 500
_SMALLEST = 48
"""Bytes below which a payload is not worth a zstd frame."""
_PAYLOADS = ("message", "ops", "prompt_ids", "token_ids", "logprobs")
_FIRST_DICTIONARY = 32_768
"""The least id that zstd leaves to its users."""


class Compaction(msgspec.Struct, frozen=True):
    """What `compact` came to."""

    bytes_before: int
    bytes_after: int
    payloads: int
    """How many were compressed this time."""


def upgrade(path: Path) -> tuple[int, int]:
    """Bring the database to today's schema; its version before and after.

    Raises `StoreError` if it is no run database or a process owns it.
    """
    with _owned(path) as database:
        version = check_identity(database, path)
        migrate(database, version)
        return version, SCHEMA_VERSION


def compact(path: Path) -> Compaction:
    """Compress payloads with a dictionary trained on them, and give free pages back.

    May be cut off at any moment and run again. Raises `StoreError` if it is no run database of
    today's schema or a process owns it.
    """
    connect_to_read(path).close()
    with _owned(path) as database:
        before = _size(path)
        count = _compress_turns(database)
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Compaction(before, _size(path), count)


def delete(path: Path) -> None:
    """Delete the database and the files beside it.

    Raises `StoreError` if it is no run database or a process owns it.
    """
    real = path.resolve()
    _refuse_others(path)
    with Ownership(path):
        try:
            # The database first: half a log would be worse than no run. The lock last: until then
            # nobody can begin another run here.
            for file in (path, *beside(real), real.with_name(real.name + ".lock")):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be deleted: {error.strerror}") from error


def refuse_owned(path: Path) -> None:
    """Raise `StoreError` if a process owns the run, or it is no run database."""
    _refuse_others(path)
    with Ownership(path):
        pass


def beside(path: Path) -> list[Path]:
    """The files that together are a database."""
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


@contextmanager
def _owned(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a run's database that nobody else owns."""
    _refuse_others(path)
    with Ownership(path):
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                yield database
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error


def _refuse_others(path: Path) -> None:
    """Raise `StoreError` if there is no run, before anything is put beside what lies there."""
    database, version = connect_to_any(path)
    database.close()
    if version == 0:
        raise StoreError(f"{path}: is empty; no run has begun to write to it")


def _compress_turns(database: sqlite3.Connection) -> int:
    (number,) = database.execute(
        f"SELECT coalesce(max(id) + 1, {_FIRST_DICTIONARY}) FROM dictionaries"
    ).fetchone()
    compressor = Compressor(_samples(database), number)
    columns = ", ".join(_PAYLOADS)
    assignments = ", ".join(f"{column} = ?" for column in _PAYLOADS)
    compressed = last = 0
    while True:
        rows = database.execute(
            f"SELECT id, {columns} FROM turns WHERE id > ? ORDER BY id LIMIT {_BATCH}", (last,)
        ).fetchall()
        if not rows:
            return compressed
        last = rows[-1][0]
        changed = []
        for row, *payloads in rows:
            packed = [_pack(compressor, payload) for payload in payloads]
            shrunk = sum(a is not b for a, b in zip(packed, payloads, strict=True))
            if shrunk:
                compressed += shrunk
                changed.append((*packed, row))
        if changed:
            database.execute("BEGIN IMMEDIATE")
            # With the first rows that need it: never a row without its dictionary, and no
            # dictionary that nothing needs.
            database.execute(
                "INSERT OR IGNORE INTO dictionaries SELECT ?1, ?2 WHERE ?2 IS NOT NULL",
                (number, compressor.dictionary),
            )
            database.executemany(f"UPDATE turns SET {assignments} WHERE id = ?", changed)
            database.execute("COMMIT")


def _pack(compressor: Compressor, payload: bytes | None) -> bytes | None:
    if payload is None or len(payload) < _SMALLEST or is_compressed(payload):
        return payload
    return compressor.compress(payload)


def _samples(database: sqlite3.Connection) -> list[bytes]:
    """Payloads from all over the run."""
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM turns").fetchone()
    stride = max(1, last // _SAMPLES)
    return [
        payload[:_SAMPLE_BYTES]
        for row in database.execute(
            f"SELECT {', '.join(_PAYLOADS)} FROM turns WHERE id % ? = 0", (stride,)
        )
        for payload in row
        if payload is not None and len(payload) >= _SMALLEST and not is_compressed(payload)
    ]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in beside(path)[:2] if file.exists())
