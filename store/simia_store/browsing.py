"""What screens ask of a run: rows that match, in pages, and what was written since they looked."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import msgspec

from simia_store.compression import is_compressed
from simia_store.errors import StoreError
from simia_store.pages import Order, Page, page_queries
from simia_store.reader import Reader
from simia_store.records import (
    CallRecord,
    FactRecord,
    GroupRecord,
    MetricRecord,
    StatisticsRecord,
    TaskRecord,
    TrajectoryRecord,
)

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "contains", "contains not"]

TEXT_COLUMNS = {
    "status": "status",
    "stop": "stop_reason",
    "env": "environment",
    "task": "task_id",
    "split": "split",
    "at": "boundary",
    "rule": "rejected_by",
    "reason": "reason",
}
"""Fields that rows are searched by, and the columns of `trajectories` that hold them."""

NUMBER_COLUMNS = {"id": "id", "group": "group_id", "version": "policy_version", "reward": "+reward"}
"""The same of numbers. With the plus SQLite leaves the index of rewards alone: what it finds there
would have to be sorted again."""

_STEP = "{group} IN (SELECT id FROM groups WHERE step {operator} ?)"


class Match(msgspec.Struct, frozen=True):
    """That a field of a trajectory compares so to a value; None means that it has none."""

    field: str
    operator: Operator
    value: str | float | None


def condition_of(matches: Iterable[Match]) -> tuple[str, tuple[Any, ...]]:
    """SQL that holds where all match, and its values. Raises `ValueError` for an unknown field."""
    parts = [_part(match) for match in matches]
    return " AND ".join(part for part, _ in parts) or "1", tuple(v for _, vs in parts for v in vs)


def _part(match: Match) -> tuple[str, tuple[Any, ...]]:
    if match.operator not in get_args(Operator):
        raise ValueError(f"unknown operator {match.operator!r}")
    if match.field == "step":
        if match.operator == "!=":
            return "NOT " + _STEP.format(group="group_id", operator="="), (match.value,)
        if match.operator.startswith("contains"):
            raise ValueError("step: is a number")
        # One step's rollouts are few. Those of many would have to be sorted, so with the plus
        # SQLite leaves the index of groups alone.
        group = "group_id" if match.operator == "=" else "+group_id"
        return _STEP.format(group=group, operator=match.operator), (match.value,)
    column = {**TEXT_COLUMNS, **NUMBER_COLUMNS}.get(match.field)
    if column is None:
        raise ValueError(f"unknown field {match.field!r}")
    if match.value is None:
        return f"{column} IS {'NOT ' if match.operator == '!=' else ''}NULL", ()
    if match.operator == "contains":
        return f"instr(lower({column}), ?)", (str(match.value).lower(),)
    if match.operator == "contains not":
        return f"NOT coalesce(instr(lower({column}), ?), 0)", (str(match.value).lower(),)
    if match.operator == "!=":
        return f"{column} IS NOT ?", (match.value,)
    return f"{column} {match.operator} ?", (match.value,)


class Browser(Reader):
    """A reader for screens. Every answer is bounded, and found by key."""

    def matching(
        self,
        limit: int,
        matches: Sequence[Match] = (),
        *,
        after: TrajectoryRecord | None = None,
        order: Order = "id",
        descending: bool = False,
    ) -> Page[TrajectoryRecord]:
        """The next trajectories that match. Ordered by reward, those without one are left out."""
        condition, values = condition_of(matches)
        rows: list[TrajectoryRecord] = []
        for query in page_queries(order, after, descending=descending, status=None):
            rows += self._select(
                TrajectoryRecord,
                f"{query.condition} AND {condition}",
                (*query.values, *values),
                f"{query.order} LIMIT {limit + 1 - len(rows)}",
            )
        return Page.of(rows, limit)

    def count_after(
        self,
        limit: int,
        matches: Sequence[Match],
        after: TrajectoryRecord,
        *,
        order: Order = "id",
        descending: bool = False,
    ) -> int:
        """How many matching trajectories come after one of them; `limit` stands for more."""
        condition, values = condition_of(matches)
        count = 0
        for query in page_queries(order, after, descending=descending, status=None):
            found = f"SELECT 1 FROM trajectories WHERE {query.condition} AND {condition}"
            (more,) = self._one(
                f"SELECT count(*) FROM ({found} LIMIT {limit - count})", (*query.values, *values)
            )
            count += more
        return count

    def saying(self, trajectory_ids: Sequence[int], text: str) -> set[int]:
        """Those of these conversations in which a message holds `text`, in either case."""
        # What JSON escapes is escaped in what is looked for, too.
        needle = msgspec.json.encode(text.lower())[1:-1]
        marks = ", ".join("?" * len(trajectory_ids))
        query = f"SELECT trajectory_id, message FROM turns WHERE trajectory_id IN ({marks})"
        found: set[int] = set()
        for number, payload in self._rows(query, tuple(trajectory_ids)):
            if number not in found:
                if is_compressed(payload):
                    payload = self._decompressor.decompress(payload)
                if needle in payload.decode(errors="replace").lower().encode(errors="replace"):
                    found.add(number)
        return found

    def turn_counts(self, trajectory_ids: Sequence[int]) -> dict[int, int]:
        """How many turns each of these conversations has."""
        marks = ", ".join("?" * len(trajectory_ids))
        query = (
            f"SELECT trajectory_id, count(*) FROM turns WHERE trajectory_id IN ({marks}) GROUP BY 1"
        )
        return dict(self._rows(query, tuple(trajectory_ids)))

    def group_page(
        self, limit: int, *, after: GroupRecord | None = None, descending: bool = False
    ) -> Page[GroupRecord]:
        """The next groups, in the order of their ids."""
        direction, beyond = ("DESC", "<") if descending else ("ASC", ">")
        condition, values = ("1", ()) if after is None else (f"id {beyond} ?", (after.id,))
        order = f"id {direction} LIMIT {limit + 1}"
        return Page.of(list(self._select(GroupRecord, condition, values, order)), limit)

    def group(self, number: int) -> GroupRecord | None:
        """One group."""
        return next(self._select(GroupRecord, "id = ?", (number,), order="id"), None)

    def members(self, group_id: int, limit: int) -> list[TrajectoryRecord]:
        """The rollouts of a group, at most `limit`."""
        order = f"id LIMIT {limit}"
        return list(self._select(TrajectoryRecord, "group_id = ?", (group_id,), order))

    def task(self, task_id: str) -> TaskRecord | None:
        """One task."""
        return next(self._select(TaskRecord, "id = ?", (task_id,), order="id"), None)

    def group_facts(self, group_id: int, limit: int) -> list[FactRecord]:
        """The first facts of a group."""
        condition = "group_id = ? AND trajectory_id IS NULL"
        return list(self._select(FactRecord, condition, (group_id,), f"id LIMIT {limit}"))

    def last_calls(self, limit: int) -> list[CallRecord]:
        """The last attempts of calls, newest first."""
        return list(self._select(CallRecord, order=f"id DESC LIMIT {limit}"))

    def last_observations(self, limit: int) -> list[tuple[str | None, bool]]:
        """Source and failure of the last observations of tools, newest first."""
        query = "SELECT role, source, is_error FROM turns ORDER BY id DESC LIMIT ?"
        rows = self._rows(query, (limit,))
        return [(source, bool(failed)) for role, source, failed in rows if role == "tool"]

    def last_samples(self, source: str, limit: int) -> list[StatisticsRecord]:
        """What a limiter said of itself the last times, oldest first."""
        order = f"id DESC LIMIT {limit}"
        return list(self._select(StatisticsRecord, "source = ?", (source,), order))[::-1]

    def metrics_after(self, cursor: int) -> tuple[int, list[MetricRecord]]:
        """Metrics written after row `cursor`, and the cursor after them; 0 is before all."""
        (last,) = self._one("SELECT coalesce(max(id), 0) FROM metrics")
        if last == cursor:
            return cursor, []
        condition = "id > ? AND id <= ?"
        return last, list(self._select(MetricRecord, condition, (cursor, last), "id"))

    def adapter_count(self) -> tuple[int, int | None]:
        """How many adapters there are, and the newest version."""
        count, newest = self._one("SELECT count(*), max(version) FROM adapters")
        return count, newest

    def _rows(self, query: str, values: tuple[Any, ...]) -> Iterable[tuple[Any, ...]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error
