"""Reading a run: while its owner writes, and after. Synchronous; call it off the event loop."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import zstandard

from simia_store.compression import Decompressor
from simia_store.errors import StoreError
from simia_store.pages import Order, Page, page_queries
from simia_store.readonly import connect_to_read
from simia_store.records import (
    AdapterRecord,
    CallRecord,
    CommandRecord,
    EnvironmentRecord,
    EventRecord,
    FactRecord,
    GroupRecord,
    JudgementRecord,
    MetricRecord,
    OutcomeCount,
    PromptRecord,
    RunRecord,
    ScoringRecord,
    SeedRecord,
    SessionRecord,
    StatisticsRecord,
    TaskRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    UsageCount,
)
from simia_store.rows import from_row
from simia_store.schema import TABLES

R = TypeVar("R", bound=msgspec.Struct)

_UNTABLED: dict[type[Any], str] = {
    EventRecord: "events",
    OutcomeCount: "outcomes",
    UsageCount: "usage",
}
"""Tables that the database and the writer fill themselves."""


class Reader:
    """A read-only connection to a run. Raises `StoreError` if there is no such run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = connect_to_read(path)
        self._decompressor = Decompressor(self._dictionary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def run(self) -> RunRecord | None:
        """The run that this database is the record of; None before its first line is written."""
        return next(self._select(RunRecord), None)

    def sessions(self) -> list[SessionRecord]:
        """The stretches of time in which a process owned the run, oldest first."""
        return list(self._select(SessionRecord, order="id"))

    def environment(self) -> EnvironmentRecord:
        """The environment of the run. Raises `StoreError` if the run has none."""
        for environment in self._select(EnvironmentRecord):
            return environment
        raise StoreError(f"{self.path}: holds no environment, so no trajectories")

    def prompts(self) -> list[PromptRecord]:
        """The words that each role of the simulator was asked with, the oldest first."""
        return list(self._select(PromptRecord))

    def seeds(self) -> Iterator[SeedRecord]:
        """Seeds of the run, in the order they were written."""
        return self._select(SeedRecord)

    def tasks(self) -> Iterator[TaskRecord]:
        """Tasks of the run, in the order they were written."""
        return self._select(TaskRecord)

    def trajectories(
        self, *, status: TrajectoryStatus | None = None, group_id: int | None = None
    ) -> Iterator[TrajectoryRecord]:
        """Trajectories in the order of their ids: all, or those of one status or one group."""
        wanted = {"status": status, "group_id": group_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{name} = ?" for name in given) or "1"
        return self._select(TrajectoryRecord, condition, tuple(given.values()), order="id")

    def trajectory_page(
        self,
        limit: int,
        *,
        after: TrajectoryRecord | None = None,
        order: Order = "id",
        descending: bool = False,
        status: TrajectoryStatus | None = None,
    ) -> Page[TrajectoryRecord]:
        """The next `limit` trajectories after one of them, found by key and not by counting.

        Ordered by reward, those without one are left out.
        """
        rows: list[TrajectoryRecord] = []
        for query in page_queries(order, after, descending=descending, status=status):
            ordered = f"{query.order} LIMIT {limit + 1 - len(rows)}"
            rows += self._select(TrajectoryRecord, query.condition, query.values, ordered)
        return Page.of(rows, limit)

    def turns(self, trajectory_id: int) -> list[TurnRecord]:
        """Turns of one conversation, in order."""
        return list(
            self._select(TurnRecord, "trajectory_id = ?", (trajectory_id,), order="position")
        )

    def facts(
        self, *, group_id: int | None = None, trajectory_id: int | None = None
    ) -> list[FactRecord]:
        """Facts of a group or of a rollout, in the order they came to be."""
        owners = {"group_id": group_id, "trajectory_id": trajectory_id}
        # `IS ?` would be shorter, and SQLite would use no index for it.
        condition = " AND ".join(
            f"{name} IS NULL" if value is None else f"{name} = ?" for name, value in owners.items()
        )
        values = tuple(value for value in owners.values() if value is not None)
        return list(self._select(FactRecord, condition, values, order="id"))

    def groups(self, step: int) -> list[GroupRecord]:
        """Groups of one training step."""
        return list(self._select(GroupRecord, "step = ?", (step,), order="id"))

    def trajectory(self, number: int) -> TrajectoryRecord | None:
        """One trajectory."""
        return next(self._select(TrajectoryRecord, "id = ?", (number,), order="id"), None)

    def scorings(self) -> list[ScoringRecord]:
        """The ways in which trajectories were judged, the run's own first."""
        return list(self._select(ScoringRecord, order="id"))

    def judgements(
        self, *, scoring_id: int | None = None, trajectory_id: int | None = None
    ) -> Iterator[JudgementRecord]:
        """Judgements in the order they were made: all, of one scoring, or of one trajectory."""
        wanted = {"trajectory_id": trajectory_id, "scoring_id": scoring_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{name} = ?" for name in given) or "1"
        return self._select(JudgementRecord, condition, tuple(given.values()), order="id")

    def calls(self) -> Iterator[CallRecord]:
        """Every attempt of every LLM call, in order."""
        return self._select(CallRecord, order="id")

    def failed_calls(self, limit: int) -> list[CallRecord]:
        """The last attempts that failed, newest first."""
        return list(self._select(CallRecord, "status != 'ok'", order=f"id DESC LIMIT {limit}"))

    def metrics(self, name: str) -> list[MetricRecord]:
        """One metric over the steps of the run."""
        return list(self._select(MetricRecord, "name = ?", (name,), order="step, id"))

    def metric_names(self) -> list[str]:
        """Names of the metrics that the run has."""
        return self._distinct("name", "metrics")

    def statistics(self) -> list[StatisticsRecord]:
        """What each limiter, queue and writer said of itself last."""
        last = "source = ? AND id = (SELECT max(id) FROM statistics WHERE source = ?)"
        return [
            sample
            for source in self._distinct("source", "statistics")
            for sample in self._select(StatisticsRecord, last, (source, source))
        ]

    def adapters(self) -> list[AdapterRecord]:
        """Published adapters, oldest first."""
        return list(self._select(AdapterRecord, order="version"))

    def commands(self) -> list[CommandRecord]:
        """What other processes asked of the owner, oldest first."""
        return list(self._select(CommandRecord, order="id"))

    def command(self, number: int) -> CommandRecord | None:
        """One command, and what became of it."""
        return next(self._select(CommandRecord, "id = ?", (number,), order="id"), None)

    def outcomes(self) -> list[OutcomeCount]:
        """How many trajectories stand how, and because of what."""
        return list(self._select(OutcomeCount, "count > 0", order="status, count DESC"))

    def usage(self) -> list[UsageCount]:
        """Attempts of calls by role, endpoint, model and outcome."""
        return list(self._select(UsageCount, order="role, endpoint, model, status"))

    def events_after(self, cursor: int, limit: int = 1000) -> list[EventRecord]:
        """What was written after event `cursor`, oldest first; 0 starts at the beginning."""
        return list(
            self._select(EventRecord, "sequence > ?", (cursor,), order=f"sequence LIMIT {limit}")
        )

    def newest_event(self) -> int:
        """The cursor after everything that was written; 0 where nothing was."""
        (sequence,) = self._one("SELECT coalesce(max(sequence), 0) FROM events")
        return int(sequence)

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        (version,) = self._one("PRAGMA data_version")
        return int(version)

    def all(self, record_type: type[R]) -> Iterator[R]:
        """Every record of a type, in the order of its table."""
        return self._select(record_type)

    def row_counts(self) -> dict[str, int]:
        """How many rows each table has, at a cost that does not grow with the run."""
        counts = {"trajectories": sum(outcome.count for outcome in self.outcomes())}
        for table in TABLES.values():
            # Rows that only come are numbered from 1, and none ever goes.
            how = "coalesce(max(id), 0)" if table.key is None else "count(*)"
            if table.name not in counts:
                (counts[table.name],) = self._one(f"SELECT {how} FROM {table.name}")
        return {table.name: counts[table.name] for table in TABLES.values()}

    def _distinct(self, column: str, table: str) -> list[str]:
        """Values of an indexed column, each found by one step into the index."""
        query = f"SELECT min({column}) FROM {table} WHERE {column} > ?"
        values: list[str] = []
        (value,) = self._one(f"SELECT min({column}) FROM {table}")
        while value is not None:
            values.append(value)
            (value,) = self._one(query, (value,))
        return values

    def _one(self, query: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """The only row of an answer."""
        try:
            row: tuple[Any, ...] = self._database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error
        return row

    def _dictionary(self, number: int) -> bytes:
        query = "SELECT dictionary FROM dictionaries WHERE id = ?"
        row = self._database.execute(query, (number,)).fetchone()
        if row is None:
            raise StoreError(f"{self.path}: damaged: compression dictionary {number} is missing")
        return bytes(row[0])

    def _select(
        self,
        record_type: type[R],
        condition: str = "1",
        values: tuple[Any, ...] = (),
        order: str = "rowid",
    ) -> Iterator[R]:
        columns = ", ".join(record_type.__struct_fields__)
        table = _UNTABLED.get(record_type) or TABLES[record_type].name
        query = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY {order}"
        try:
            for row in self._database.execute(query, values):
                yield from_row(record_type, row, self._decompressor)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error
        except (msgspec.MsgspecError, zstandard.ZstdError, UnicodeError) as error:
            raise StoreError(f"{self.path}: damaged: a row of {table}: {error}") from error
