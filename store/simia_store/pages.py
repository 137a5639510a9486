"""Pages of a long list, found by the key of the last row and not by counting rows.

SQLite reaches any page at the cost of the first; `OFFSET` would read all rows before it.
"""

from typing import Any, Generic, Literal, TypeVar

import msgspec

from simia_store.records import TrajectoryRecord, TrajectoryStatus

R = TypeVar("R", bound=msgspec.Struct)

Order = Literal["id", "reward"]


class Page(msgspec.Struct, Generic[R], frozen=True):
    """Rows in order, and whether others follow; ask for those after the last row."""

    rows: list[R]
    more: bool

    @classmethod
    def of(cls, rows: list[R], limit: int) -> "Page[R]":
        """A page of `limit` rows from one row more than that."""
        return cls(rows[:limit], len(rows) > limit)


class PageQuery(msgspec.Struct, frozen=True):
    """The part of a query that makes it a page."""

    condition: str
    columns: str
    direction: str

    def order(self, limit: int) -> str:
        """What stands after ORDER BY."""
        return f"{self.columns.replace(',', f' {self.direction},')} {self.direction} LIMIT {limit}"


def page_query(
    order: Order,
    after: TrajectoryRecord | None,
    *,
    descending: bool,
    status: TrajectoryStatus | None,
) -> tuple[PageQuery, tuple[Any, ...]]:
    """The query of the trajectories that come after `after`, and its values."""
    conditions: list[str] = []
    values: list[Any] = []
    columns = "id" if order == "id" else "reward, id"
    if order == "reward":
        conditions.append("reward IS NOT NULL")
    if status is not None:
        conditions.append("status = ?")
        values.append(status)
    if after is not None:
        key = [after.id] if order == "id" else [after.reward, after.id]
        marks = ", ".join("?" * len(key))
        conditions.append(f"({columns}) {'<' if descending else '>'} ({marks})")
        values += key
    query = PageQuery(" AND ".join(conditions) or "1", columns, "DESC" if descending else "ASC")
    return query, tuple(values)
