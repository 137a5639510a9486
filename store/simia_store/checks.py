"""What can be wrong with a run's record, and how that is found."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from simia_store.errors import StoreError
from simia_store.reader import Reader
from simia_store.readonly import connect_to_read
from simia_store.records import CommandRecord, TurnRecord
from simia_store.schema import TABLES
from simia_store.standing import has_owner

_CAUSE = "coalesce(rejected_by, boundary, stop_reason, '')"
_USAGE_KEY = "role, endpoint, model, status"

_ORPHANS = {
    "turns of a trajectory that is not there": ("turns", "trajectory_id", "trajectories"),
    "facts of a trajectory that is not there": ("facts", "trajectory_id", "trajectories"),
    "facts of a group that is not there": ("facts", "group_id", "groups"),
    "judgements of a trajectory that is not there": ("judgements", "trajectory_id", "trajectories"),
    "judgements of a scoring that is not there": ("judgements", "scoring_id", "scorings"),
    "trajectories of a group that is not there": ("trajectories", "group_id", "groups"),
}

_QUERIES = {
    "trajectories with a gap between their turns": (
        "SELECT count(*) FROM (SELECT 1 FROM turns GROUP BY trajectory_id"
        " HAVING min(position) != 0 OR max(position) + 1 != count(*))"
    ),
    "finished runs with trajectories that are not": (
        "SELECT count(*) FROM runs WHERE status = 'done'"
        " AND EXISTS (SELECT 1 FROM trajectories WHERE status = 'running')"
    ),
    "sessions that ended before they began": (
        "SELECT count(*) FROM sessions WHERE coalesce(ended_at, beat_at) < started_at"
    ),
}

_COUNTS = {
    "outcomes counted wrong": (
        "status, cause",
        "SELECT status, cause, count FROM outcomes WHERE count != 0",
        f"SELECT status, {_CAUSE} AS cause, count(*) FROM trajectories GROUP BY 1, 2",
    ),
    "kinds of calls counted wrong": (
        _USAGE_KEY,
        f"SELECT {_USAGE_KEY}, calls, tokens_in, tokens_out, tokens_cached, priced FROM usage",
        f"SELECT {_USAGE_KEY}, count(*), sum(tokens_in), sum(tokens_out), sum(tokens_cached),"
        f" count(cost_usd) FROM calls GROUP BY {_USAGE_KEY}",
    ),
    # Sums of floating-point numbers depend on their order, so they are compared after rounding.
    "kinds of calls whose cost or latency is summed wrong": (
        _USAGE_KEY,
        f"SELECT {_USAGE_KEY}, printf('%.6e', cost_usd), printf('%.6e', latency_s) FROM usage",
        f"SELECT {_USAGE_KEY}, printf('%.6e', total(cost_usd)), printf('%.6e', total(latency_s))"
        f" FROM calls GROUP BY {_USAGE_KEY}",
    ),
}

_NOTES = {
    # The call on which a run gives up is kept, and the trajectory that it was for is not.
    "calls of a trajectory that was not written": (
        "SELECT count(*) FROM calls WHERE trajectory_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM trajectories WHERE id = calls.trajectory_id)"
    ),
    "sessions that began before the one before them had ended (or the clock was set back)": (
        "SELECT count(*) FROM sessions AS later JOIN sessions AS earlier"
        " ON earlier.id = later.id - 1"
        " WHERE later.started_at < coalesce(earlier.ended_at, earlier.beat_at)"
    ),
    "sessions that were cut off": (
        "SELECT count(*) FROM sessions WHERE ended_at IS NULL"
        " AND id < (SELECT max(id) FROM sessions)"
    ),
}


class Findings(msgspec.Struct, frozen=True):
    """What `check` found, a sentence each."""

    problems: list[str]
    """What contradicts itself or cannot be read."""
    notes: list[str]
    """What the record says of its surroundings and its past that is worth knowing."""


def check(path: Path) -> Findings:
    """Look for what is wrong with a run's record, even while its owner writes: what is checked is
    the run as it stood at one moment.

    Raises `StoreError` if it is no run database of today's schema.
    """
    with closing(connect_to_read(path)) as database:
        try:
            database.execute("BEGIN")
            damage = _damage(database)
            # A damaged file may answer anything.
            if damage:
                return Findings(damage, [])
            problems = _orphans(database) + _counted(database, _QUERIES) + _miscounted(database)
            problems += _events(database)
            notes = _counted(database, _NOTES) + _adapters_gone(database)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be checked: {error}") from error
    with Reader(path) as reader:
        if has_owner(reader.sessions()):
            notes.append("a process owns it: this is what it held at one moment")
        problems += _unreadable_turns(reader)
    return Findings(problems, notes)


def _damage(database: sqlite3.Connection) -> list[str]:
    try:
        said = database.execute("PRAGMA integrity_check(20)").fetchall()
    except sqlite3.DatabaseError as error:
        return [f"SQLite: {error}"]
    return [f"SQLite: {line}" for (line,) in said if line != "ok"]


def _counted(database: sqlite3.Connection, queries: dict[str, str]) -> list[str]:
    return [
        f"{count} {what}"
        for what, query in queries.items()
        if (count := database.execute(query).fetchone()[0])
    ]


def _orphans(database: sqlite3.Connection) -> list[str]:
    # One look-up by key a row; `NOT IN` would copy the keys of the other table first.
    return _counted(
        database,
        {
            what: f"SELECT count(*) FROM {table} AS child WHERE {column} IS NOT NULL"
            f" AND NOT EXISTS (SELECT 1 FROM {parent} WHERE id = child.{column})"
            for what, (table, column, parent) in _ORPHANS.items()
        },
    )


def _miscounted(database: sqlite3.Connection) -> list[str]:
    """Counts that were kept, against what is there: too much, too little, or not at all."""
    return _counted(
        database,
        {
            what: f"WITH kept AS ({kept}), counted AS ({counted}) SELECT count(*) FROM ("
            f" SELECT {key} FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)"
            f" UNION SELECT {key} FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept))"
            for what, (key, kept, counted) in _COUNTS.items()
        },
    )


def _events(database: sqlite3.Connection) -> list[str]:
    """Rows that no event names, so that nobody who follows the run has seen them; and events that
    name rows that are not there.
    """
    named = {
        kind: (first, last, rows)
        for kind, first, last, rows in database.execute(
            "SELECT kind, min(first), max(last), sum(last - first + 1) FROM events GROUP BY kind"
        )
    }
    problems = []
    for record_type, table in TABLES.items():
        # Commands come from elsewhere; only their answers are events.
        if not table.numbered or record_type is CommandRecord:
            continue
        key = table.key or "id"
        there = database.execute(f"SELECT min({key}), max({key}) FROM {table.name}").fetchone()
        first, last, rows = named.pop(table.name, (None, None, 0))
        if (first, last) != there:
            problems.append(
                f"events name rows {first} to {last} of {table.name}, where {there[0]} to "
                f"{there[1]} are"
            )
        elif table.key is None:
            (count,) = database.execute(f"SELECT count(*) FROM {table.name}").fetchone()
            if count != rows:
                problems.append(f"events name {rows} rows of {table.name}, where {count} are")
    return problems


def _adapters_gone(database: sqlite3.Connection) -> list[str]:
    return [
        f"adapter {version} is no longer at {where}"
        for version, where in database.execute("SELECT version, path FROM adapters")
        if not Path(where).is_dir()
    ]


def _unreadable_turns(reader: Reader) -> list[str]:
    """The first turn whose payload is not what it should be, or whose dictionary is missing."""
    try:
        for _ in reader.all(TurnRecord):
            pass
    except StoreError as error:
        return [str(error).removeprefix(f"{reader.path}: ")]
    return []
