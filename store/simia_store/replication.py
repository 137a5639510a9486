"""A copy of a run that follows it from elsewhere: what was written after a cursor, row by row.

The copy is a run database like any other, so whoever reads runs can read it. It starts from a whole
copy (`copy_run`), and takes what `changes_after` tells of the original.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from simia_store.errors import StoreError
from simia_store.readonly import connect_to_read
from simia_store.schema import TABLES

_KEYS = {table.name: table.key or "id" for table in TABLES.values()}
_NUMBERED = {table.name for table in TABLES.values() if table.numbered}
_UNTOLD = ("outcomes", "usage", "dictionaries", "commands")
"""Tables that no event tells of, or not of all that is written to them. They are small."""
_AT_ONCE = 500
"""Events of one answer."""
_ROWS = 2000
"""After so many rows an answer takes no further event."""


class TableRows(msgspec.Struct, frozen=True, array_like=True):
    """Rows of a table as they are now."""

    table: str
    columns: list[str]
    rows: list[list[Any]]
    whole: bool = False
    """Whether these are all there are."""


class Changes(msgspec.Struct, frozen=True, array_like=True):
    """What was written after a cursor."""

    cursor: int
    """Where the next ones begin."""
    more: bool
    """Whether there are further ones already."""
    tables: list[TableRows]


def changes_after(path: Path, cursor: int) -> Changes:
    """What was written to the run at `path` after event `cursor`. Raises `StoreError`."""
    with closing(connect_to_read(path)) as database:
        try:
            # One transaction, so that rows and counts are of one moment.
            database.execute("BEGIN")
            return _changes(database, cursor)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error


def _changes(database: sqlite3.Connection, cursor: int) -> Changes:
    events = database.execute(
        "SELECT sequence, kind, first, last FROM events WHERE sequence > ? ORDER BY sequence "
        f"LIMIT {_AT_ONCE + 1}",
        (cursor,),
    ).fetchall()
    tables: list[TableRows] = []
    told: list[tuple[Any, ...]] = []
    wholes: set[str] = set()
    rows = 0
    for event in events[:_AT_ONCE]:
        _, kind, first, last = event
        told.append(event)
        if kind in _NUMBERED:
            condition = f"{_KEYS[kind]} BETWEEN ? AND ?"
            tables.append(_rows(database, kind, condition, (first, last)))
            rows += len(tables[-1].rows)
        elif kind in _KEYS and kind not in wholes:
            wholes.add(kind)
            tables.append(_rows(database, kind))
            rows += len(tables[-1].rows)
        if rows >= _ROWS:
            break
    if told:
        cursor = told[-1][0]
        names = ["sequence", "kind", "first", "last"]
        tables.append(TableRows("events", names, [list(event) for event in told]))
    tables += [_rows(database, table) for table in _UNTOLD]
    return Changes(cursor, len(told) < len(events), tables)


def _rows(
    database: sqlite3.Connection, table: str, condition: str = "", values: tuple[Any, ...] = ()
) -> TableRows:
    found = database.execute(
        f"SELECT * FROM {table}{f' WHERE {condition}' if condition else ''}", values
    )
    columns = [column[0] for column in found.description]
    return TableRows(table, columns, [list(row) for row in found], whole=not condition)


def copy_run(path: Path, copy: Path) -> None:
    """Write a whole copy of the run at `path`, as it is now. Raises `StoreError`."""
    with closing(connect_to_read(path)) as database, closing(sqlite3.connect(copy)) as target:
        try:
            database.backup(target)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be copied: {error}") from error


class Replica:
    """A copy that takes changes. It is not the run: what is written to it goes nowhere else.

    Raises `StoreError` if there is no run at `path`.
    """

    def __init__(self, path: Path) -> None:
        with closing(connect_to_read(path)) as database:
            (self.cursor,) = database.execute(
                "SELECT coalesce(max(sequence), 0) FROM events"
            ).fetchone()
            triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            names = [name for (name,) in triggers]
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # What the original has counted comes with its rows.
        for name in names:
            self._database.execute(f"DROP TRIGGER {name}")

    def take(self, changes: Changes) -> None:
        """Write what has changed, in one transaction. Raises `StoreError`."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for each in changes.tables:
                _put(self._database, each)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the copy of the run cannot be written: {error}") from error
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        self.cursor = changes.cursor

    def close(self) -> None:
        """Close the copy."""
        self._database.close()


def _put(database: sqlite3.Connection, each: TableRows) -> None:
    known = set(_columns(database, each.table))
    if each.table not in (*_KEYS, *_UNTOLD, "events") or not known.issuperset(each.columns):
        raise StoreError(f"the run has a table {each.table!r} that this simia-async does not know")
    if each.whole:
        if _is_same(database, each):
            return
        database.execute(f"DELETE FROM {each.table}")
    marks = ", ".join("?" * len(each.columns))
    statement = f"INSERT OR REPLACE INTO {each.table} ({', '.join(each.columns)}) VALUES ({marks})"
    database.executemany(statement, each.rows)


def _columns(database: sqlite3.Connection, table: str) -> Iterator[str]:
    for _, name, *_ in database.execute("SELECT * FROM pragma_table_info(?)", (table,)):
        yield name


def _is_same(database: sqlite3.Connection, each: TableRows) -> bool:
    """Whether the table holds these rows already: who looks for changes is not told of none."""
    held = database.execute(f"SELECT {', '.join(each.columns)} FROM {each.table}").fetchall()
    return sorted(map(repr, map(list, held))) == sorted(map(repr, each.rows))
