"""Reading a run: while its owner writes, and after. Synchronous; call it off the event loop."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from simia_store.errors import StoreError
from simia_store.records import (
    AdapterRecord,
    CallRecord,
    EnvironmentRecord,
    EventRecord,
    GroupRecord,
    MetricRecord,
    RunRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)
from simia_store.schema import IDENTITY, TABLES, check_identity, from_row

R = TypeVar("R", bound=msgspec.Struct)


class Reader:
    """A read-only connection to a run. Raises `StoreError` if there is no such run."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreError(f"{path}: no such run database")
        self.path = path
        try:
            self._database = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            identity = [self._database.execute(query).fetchone()[0] for query in IDENTITY]
            new = check_identity(path, *identity)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: not a run database: {error}") from error
        if new:
            raise StoreError(f"{path}: is empty; its run has not begun to write yet")

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

    def environment(self) -> EnvironmentRecord:
        """The environment of the run. Raises `StoreError` if the run has none."""
        for environment in self._select(EnvironmentRecord):
            return environment
        raise StoreError(f"{self.path}: holds no environment, so no trajectories")

    def trajectories(
        self, *, status: TrajectoryStatus | None = None, group_id: int | None = None
    ) -> Iterator[TrajectoryRecord]:
        """Trajectories in the order of their ids: all, or those of one status or one group."""
        wanted = {"status": status, "group_id": group_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{name} = ?" for name in given) or "1"
        return self._select(TrajectoryRecord, condition, tuple(given.values()), order="id")

    def turns(self, trajectory_id: int) -> list[TurnRecord]:
        """Turns of one conversation, in order."""
        return list(
            self._select(TurnRecord, "trajectory_id = ?", (trajectory_id,), order="position")
        )

    def groups(self, step: int) -> list[GroupRecord]:
        """Groups of one training step."""
        return list(self._select(GroupRecord, "step = ?", (step,), order="id"))

    def calls(self) -> Iterator[CallRecord]:
        """Every attempt of every LLM call, in order."""
        return self._select(CallRecord)

    def metrics(self, name: str) -> list[MetricRecord]:
        """One metric over the run."""
        return list(self._select(MetricRecord, "name = ?", (name,)))

    def metric_names(self) -> list[str]:
        """Names of the metrics that the run has."""
        rows = self._database.execute("SELECT DISTINCT name FROM metrics ORDER BY name")
        return [name for (name,) in rows]

    def adapters(self) -> list[AdapterRecord]:
        """Published adapters, oldest first."""
        return list(self._select(AdapterRecord, order="version"))

    def count_trajectories(self) -> Counter[tuple[str, str]]:
        """How many trajectories have each (status, what it is due to): the rule that rejected
        it, else where it failed, else how the conversation ended.
        """
        rows = self._database.execute(
            "SELECT status, coalesce(json_extract(detail, '$.rejected_by'), boundary, stop_reason,"
            " ''), count(*) FROM trajectories GROUP BY 1, 2 ORDER BY 1, 3 DESC"
        )
        return Counter({(status, cause): n for status, cause, n in rows})

    def usage(self) -> list[tuple[str, int, int, int, int, float | None]]:
        """Per role: calls, failed attempts, tokens in, tokens out, cost in USD if known."""
        return self._database.execute(
            "SELECT role, sum(status = 'ok'), sum(status != 'ok'), sum(tokens_in),"
            " sum(tokens_out), sum(cost_usd) FROM calls GROUP BY role ORDER BY role"
        ).fetchall()

    def events_after(self, cursor: int, limit: int = 1000) -> list[EventRecord]:
        """What was written after event `cursor`, oldest first; 0 starts at the beginning."""
        return list(
            self._select(EventRecord, "sequence > ?", (cursor,), order=f"sequence LIMIT {limit}")
        )

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        version: int = self._database.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _select(
        self,
        record_type: type[R],
        condition: str = "1",
        values: tuple[Any, ...] = (),
        order: str = "rowid",
    ) -> Iterator[R]:
        columns = ", ".join(record_type.__struct_fields__)
        rows = self._database.execute(
            f"SELECT {columns} FROM {TABLES[record_type]} WHERE {condition} ORDER BY {order}",
            values,
        )
        for row in rows:
            yield from_row(record_type, row)
