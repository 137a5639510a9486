"""A copy of a run that follows it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from simia_store.replication import Changes, Replica, changes_after, copy_run
from simia_store.schema import TABLES

import simia_async
from simia_async.errors import StoreError

NAMES = [*(table.name for table in TABLES.values()), "events", "outcomes", "usage"]


def content(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as database:
        return {
            name: sorted(map(repr, database.execute(f"SELECT * FROM {name}"))) for name in NAMES
        }


def follow(path: Path, replica: Replica) -> int:
    """Take all there is; how many answers that took."""
    answers = 0
    while True:
        told = msgspec.msgpack.encode(changes_after(path, replica.cursor))
        changes = msgspec.msgpack.decode(told, type=Changes)
        replica.take(changes)
        answers += 1
        if not changes.more:
            return answers


async def test_it_comes_to_hold_what_the_run_holds(tmp_path: Path) -> None:
    run, copy = tmp_path / "r.db", tmp_path / "copy.db"
    settings = {"environment": "mini-airline", "policy": {"model": "scripted-agent"}, "tasks": 40}
    replica = None
    async for _ in simia_async.rollout(run=run, concurrency=8, **settings):
        if replica is None:
            copy_run(run, copy)
            replica = Replica(copy)
        follow(run, replica)
    assert replica is not None
    follow(run, replica)
    replica.close()
    assert content(copy) == content(run)


async def test_from_nothing_in_many_answers(tmp_path: Path) -> None:
    run, copy = tmp_path / "r.db", tmp_path / "copy.db"
    await simia_async.generate(run=run, n=300)
    copy_run(run, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as database:
        for name in NAMES:
            database.execute(f"DELETE FROM {name}")
    replica = Replica(copy)
    assert follow(run, replica) > 1
    version = sqlite3.connect(copy)
    (before,) = version.execute("PRAGMA data_version").fetchone()
    assert follow(run, replica) == 1
    assert version.execute("PRAGMA data_version").fetchone() == (before + 0,)
    version.close()
    replica.close()
    assert content(copy) == content(run)


async def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    await simia_async.generate(run=tmp_path / "r.db", n=1)
    copy_run(tmp_path / "r.db", tmp_path / "copy.db")
    with closing(Replica(tmp_path / "copy.db")) as replica:
        for table, columns in (("sqlite_master", ["name"]), ("turns", ["evil) --"])):
            rows = [(table, columns, [["x"]], False)]
            changes = msgspec.convert((replica.cursor, False, rows), Changes)
            with pytest.raises(StoreError, match="does not know"):
                replica.take(changes)
    with pytest.raises(StoreError, match="no such run"):
        changes_after(tmp_path / "none.db", 0)
