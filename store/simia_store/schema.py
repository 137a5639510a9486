"""The schema: which tables there are, and how a database comes to have them.

Every change is a numbered file in `migrations/`; none is ever changed after its release. A new
database goes through all of them, an old one through those it lacks.
"""

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from simia_store.errors import StoreError
from simia_store.records import (
    AdapterRecord,
    CallRecord,
    CommandRecord,
    EnvironmentRecord,
    FactRecord,
    GroupRecord,
    JudgementRecord,
    MetricRecord,
    PromptRecord,
    RunRecord,
    ScoringRecord,
    SeedRecord,
    SessionRecord,
    StatisticsRecord,
    TaskRecord,
    TrajectoryRecord,
    TurnRecord,
)

SCHEMA_VERSION = 4
APPLICATION_ID = 0x53494D49
"""Says in the file's header whose database it is: "SIMI"."""


_SQLITE = b"SQLite format 3\0"


class Table(NamedTuple):
    """Where records of a type go."""

    name: str
    key: str | None = None
    """Field whose value may be written again, the last one counting; None: rows only come."""
    numbered: bool = True
    """Whether events can name its rows: by `key`, or by the id that SQLite gives them."""


TABLES: dict[type[Any], Table] = {
    RunRecord: Table("runs", "id", numbered=False),
    SessionRecord: Table("sessions", "id"),
    EnvironmentRecord: Table("environments", "name", numbered=False),
    PromptRecord: Table("prompts"),
    SeedRecord: Table("seeds", "id", numbered=False),
    TaskRecord: Table("tasks", "id", numbered=False),
    GroupRecord: Table("groups", "id"),
    TrajectoryRecord: Table("trajectories", "id"),
    TurnRecord: Table("turns"),
    FactRecord: Table("facts"),
    ScoringRecord: Table("scorings", "id"),
    JudgementRecord: Table("judgements"),
    CallRecord: Table("calls"),
    MetricRecord: Table("metrics"),
    StatisticsRecord: Table("statistics"),
    AdapterRecord: Table("adapters", "version"),
    CommandRecord: Table("commands", "id"),
}
"""What a record needs comes before it: within a commit, rows are written in this order."""


def check_identity(database: sqlite3.Connection, path: Path) -> int:
    """The schema version of an open database; 0 if it is new and empty.

    Raises `StoreError` if it is not ours or comes from a newer version.
    """
    (objects,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects == 0:
        # SQLite takes a file of a few bytes for an empty database, and would overwrite it.
        with path.open("rb") as file:
            if not _SQLITE.startswith(file.read(len(_SQLITE))):
                raise StoreError(f"{path}: not a run database: file is not a database")
        return 0
    (application_id,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path}: is an SQLite database, but not of a simia-async run")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: was written by a newer simia-async (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); upgrade simia-async"
        )
    return int(version)


def migrate(database: sqlite3.Connection, version: int, target: int = SCHEMA_VERSION) -> None:
    """Bring a database from schema `version` to `target`, in one transaction."""
    from importlib import resources  # slow to import, and who reads migrates nothing

    migrations = resources.files("simia_store").joinpath("migrations")
    scripts = (f"{number:04}.sql" for number in range(version + 1, target + 1))
    steps = "\n".join(migrations.joinpath(script).read_text() for script in scripts)
    # `executescript` runs statement by statement: the transaction is part of the script.
    database.executescript(
        f"BEGIN EXCLUSIVE;\n{steps}\nPRAGMA application_id = {APPLICATION_ID};"
        f"PRAGMA user_version = {target};\nCOMMIT;"
    )
