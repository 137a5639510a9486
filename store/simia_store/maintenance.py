"""Looking after the database of a run that nobody owns: check, upgrade, compact, delete."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from simia_store.compression import Compressor, is_compressed
from simia_store.errors import StoreError
from simia_store.ownership import Ownership
from simia_store.schema import SCHEMA_VERSION, check_identity, migrate

_SAMPLES = 5000
"""Payloads to train a compression dictionary on."""
_BATCH = 2000
_SMALLEST = 48
"""Bytes below which a payload is not worth a zstd frame."""
_PAYLOADS = ("message", "ops", "prompt_ids", "token_ids", "logprobs")

_CHECKS = {
    "turns without a trajectory": (
        "SELECT count(*) FROM turns WHERE trajectory_id NOT IN (SELECT id FROM trajectories)"
    ),
    "calls of a trajectory that is not there": (
        "SELECT count(*) FROM calls WHERE trajectory_id IS NOT NULL"
        " AND trajectory_id NOT IN (SELECT id FROM trajectories)"
    ),
    "trajectories of a group that is not there": (
        "SELECT count(*) FROM trajectories WHERE group_id IS NOT NULL"
        " AND group_id NOT IN (SELECT id FROM groups)"
    ),
    "trajectories with a gap between their turns": (
        "SELECT count(*) FROM (SELECT 1 FROM turns GROUP BY trajectory_id"
        " HAVING max(position) + 1 != count(*))"
    ),
    "finished runs with trajectories that are not": (
        "SELECT count(*) FROM runs WHERE status = 'done'"
        " AND EXISTS (SELECT 1 FROM trajectories WHERE status = 'running')"
    ),
    "outcomes counted wrong": (
        "SELECT count(*) FROM (SELECT status, cause, count FROM outcomes WHERE count != 0 EXCEPT"
        " SELECT status, coalesce(rejected_by, boundary, stop_reason, ''), count(*)"
        " FROM trajectories GROUP BY 1, 2)"
    ),
    "calls counted wrong": (
        "SELECT count(*) FROM (SELECT role, endpoint, model, status, calls, tokens_in, tokens_out"
        " FROM usage EXCEPT SELECT role, endpoint, model, status, count(*), sum(tokens_in),"
        " sum(tokens_out) FROM calls GROUP BY 1, 2, 3, 4)"
    ),
}


class Compaction(msgspec.Struct, frozen=True):
    """What `compact` came to."""

    bytes_before: int
    bytes_after: int
    payloads: int
    """How many were compressed this time."""


def check(path: Path) -> list[str]:
    """What is wrong with a run's database, one sentence each; empty if nothing is.

    Raises `StoreError` if it is no run database or a process owns it.
    """
    with _owned(path) as database:
        problems = [
            f"SQLite: {said}"
            for (said,) in database.execute("PRAGMA integrity_check(20)")
            if said != "ok"
        ]
        # A damaged file may answer anything.
        if problems:
            return problems
        for what, query in _CHECKS.items():
            (count,) = database.execute(query).fetchone()
            if count:
                problems.append(f"{count} {what}")
        return problems


def upgrade(path: Path) -> tuple[int, int]:
    """Bring the database to today's schema; its version before and after.

    Raises `StoreError` as `check` does.
    """
    with _owned(path, any_version=True) as database:
        version = check_identity(database, path)
        migrate(database, version)
        return version, SCHEMA_VERSION


def compact(path: Path) -> Compaction:
    """Compress payloads with a dictionary trained on them, and give free pages back.

    May be cut off at any moment and run again. Raises `StoreError` as `check` does.
    """
    before = _size(path)
    with _owned(path) as database:
        count = _compress_turns(database)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Compaction(before, _size(path), count)


def delete(path: Path) -> None:
    """Delete the database and the files beside it. Raises `StoreError` as `check` does."""
    with _owned(path, any_version=True):
        pass
    with Ownership(path):
        for suffix in ("", "-wal", "-shm", ".lock"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _owned(path: Path, *, any_version: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to a database that nobody else writes to."""
    if not path.is_file():
        raise StoreError(f"{path}: no such run database")
    with Ownership(path):
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                version = check_identity(database, path)
                if version == 0:
                    raise StoreError(f"{path}: is empty; no run has begun to write to it")
                if version < SCHEMA_VERSION and not any_version:
                    raise StoreError(
                        f"{path}: has the schema of an older simia-async; first: "
                        f"simia runs upgrade {path}"
                    )
                yield database
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error


def _compress_turns(database: sqlite3.Connection) -> int:
    compressor = Compressor(_samples(database))
    if compressor.dictionary is not None:
        database.execute(
            "INSERT OR IGNORE INTO dictionaries VALUES (?, ?)",
            (compressor.dictionary_id, compressor.dictionary),
        )
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
        for number, *payloads in rows:
            packed = [_pack(compressor, payload) for payload in payloads]
            if packed != payloads:
                compressed += sum(a is not b for a, b in zip(packed, payloads, strict=True))
                changed.append((*packed, number))
        database.execute("BEGIN IMMEDIATE")
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
        payload
        for row in database.execute(
            f"SELECT {', '.join(_PAYLOADS)} FROM turns WHERE id % ? = 0", (stride,)
        )
        for payload in row
        if payload is not None and len(payload) >= _SMALLEST and not is_compressed(payload)
    ]


def _size(path: Path) -> int:
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
