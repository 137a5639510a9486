"""The schema, declared once: tables, how a record becomes a row, and how a row becomes a record."""

from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from simia_store.errors import StoreError
from simia_store.records import (
    AdapterRecord,
    CallRecord,
    EnvironmentRecord,
    EventRecord,
    GroupRecord,
    MetricRecord,
    Record,
    RunRecord,
    TrajectoryRecord,
    TurnRecord,
)

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53494D49
"""Says in the file's header whose database it is: "SIMI"."""

IDENTITY = (
    "PRAGMA application_id",
    "PRAGMA user_version",
    "SELECT count(*) FROM sqlite_master",
)
"""Queries whose answers are the arguments of `check_identity`."""

DDL = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, config BLOB NOT NULL, status TEXT NOT NULL,
    reason TEXT, started_at REAL NOT NULL, finished_at REAL
);
CREATE TABLE environments (name TEXT PRIMARY KEY, policy TEXT NOT NULL, tools BLOB NOT NULL);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, task_id TEXT NOT NULL, step INTEGER NOT NULL,
    policy_version INTEGER NOT NULL, size INTEGER NOT NULL, rewards BLOB NOT NULL
);
CREATE INDEX groups_by_step ON groups (step);
CREATE TABLE trajectories (
    id INTEGER PRIMARY KEY, environment TEXT NOT NULL, task_id TEXT NOT NULL, status TEXT NOT NULL,
    split TEXT NOT NULL, group_id INTEGER, policy_version INTEGER, stop_reason TEXT, reward REAL,
    boundary TEXT, reason TEXT, detail BLOB NOT NULL, created_at REAL NOT NULL, finished_at REAL
);
CREATE INDEX trajectories_by_group ON trajectories (group_id);
CREATE INDEX trajectories_by_status ON trajectories (status);
CREATE TABLE turns (
    trajectory_id INTEGER NOT NULL REFERENCES trajectories (id), position INTEGER NOT NULL,
    role TEXT NOT NULL, message BLOB NOT NULL, source TEXT, is_error INTEGER NOT NULL,
    ops BLOB NOT NULL,
    prompt_ids BLOB NOT NULL, token_ids BLOB NOT NULL, logprobs BLOB NOT NULL,
    UNIQUE (trajectory_id, position)
);
CREATE TABLE calls (
    trajectory_id INTEGER, role TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,
    attempt INTEGER NOT NULL, status TEXT NOT NULL, latency_s REAL NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
    cost_usd REAL, error TEXT, created_at REAL NOT NULL
);
CREATE TABLE metrics (
    step INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, created_at REAL NOT NULL
);
CREATE INDEX metrics_by_name ON metrics (name, step);
CREATE TABLE adapters (
    version INTEGER PRIMARY KEY, path TEXT NOT NULL, parent TEXT, step INTEGER NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, row INTEGER NOT NULL
);
"""

TABLES: dict[type[Any], str] = {
    RunRecord: "runs",
    EnvironmentRecord: "environments",
    GroupRecord: "groups",
    TrajectoryRecord: "trajectories",
    TurnRecord: "turns",
    CallRecord: "calls",
    MetricRecord: "metrics",
    AdapterRecord: "adapters",
    EventRecord: "events",
}
_KEYS = {
    "runs": "id",
    "environments": "name",
    "groups": "id",
    "trajectories": "id",
    "adapters": "version",
}
"""Tables whose records may be written again; the last one counts."""


def check_identity(path: Path, application_id: int, version: int, objects: int) -> bool:
    """Whether a database is new and empty.

    Raises `StoreError` if it is not ours or comes from a newer version.
    """
    if objects == 0:
        return True
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path}: is an SQLite database, but not of a simia-async run")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: was written by a newer simia-async (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); upgrade simia-async"
        )
    return False


def creation_script() -> str:
    """SQL of a new database, with a trigger a table that writes the event order."""
    triggers = [
        f"CREATE TRIGGER {table}_{verb.lower()} AFTER {verb} ON {table} BEGIN "
        f"INSERT INTO events (kind, row) VALUES ('{table}', NEW.rowid); END;"
        for table in TABLES.values()
        if table != "events"
        for verb in ("INSERT", "UPDATE")
    ]
    return "\n".join(
        [
            "BEGIN;",
            DDL,
            *triggers,
            f"PRAGMA application_id = {APPLICATION_ID};",
            f"PRAGMA user_version = {SCHEMA_VERSION};",
            "COMMIT;",
        ]
    )


def insert_statement(record_type: type[Any]) -> str:
    """SQL that writes one record of this type."""
    table = TABLES[record_type]
    columns = record_type.__struct_fields__
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"
    if key := _KEYS.get(table):
        updates = ", ".join(f"{c} = excluded.{c}" for c in columns if c != key)
        statement += f" ON CONFLICT ({key}) DO UPDATE SET {updates}"
    return statement


def to_row(record: Record) -> tuple[Any, ...]:
    """Column values of a record; lists and dictionaries become JSON."""
    return tuple(_column(value) for value in msgspec.structs.astuple(record))


def _column(value: Any) -> Any:
    if isinstance(value, list) and any(isinstance(x, float) and not isfinite(x) for x in value):
        raise ValueError("JSON has no infinite numbers and no NaN")
    if isinstance(value, (dict, list, tuple)):
        return msgspec.json.encode(value)
    return value


R = TypeVar("R", bound=msgspec.Struct)


def from_row(record_type: type[R], row: tuple[Any, ...]) -> R:
    """The record that `to_row` made this row from."""
    fields = zip(record_type.__struct_fields__, row, strict=True)
    decoded = {
        name: msgspec.json.decode(value) if isinstance(value, bytes) else value
        for name, value in fields
    }
    # Not strict: SQLite keeps truth values as 0 and 1.
    return msgspec.convert(decoded, record_type, strict=False)
