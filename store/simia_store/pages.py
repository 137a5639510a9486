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
    """Part of a page: which rows, and in which order."""

    condition: str
    values: tuple[Any, ...]
    order: str


def page_queries(
    order: Order,
    after: TrajectoryRecord | None,
    *,
    descending: bool,
    status: TrajectoryStatus | None,
) -> list[PageQuery]:
    """Queries whose rows, one query after the other, are the trajectories that come after one."""
    direction, beyond = ("DESC", "<") if descending else ("ASC", ">")
    by_id = f"id {direction}"
    if order == "id":
        wanted, values = ("1", ()) if status is None else ("status = ?", (status,))
        if after is not None:
            wanted, values = f"{wanted} AND id {beyond} ?", (*values, after.id)
        return [PageQuery(wanted, values, by_id)]
    # With the plus SQLite leaves the index of statuses alone: few have rewards and another status,
    # and those who have not would have to be sorted.
    wanted, values = ("1", ()) if status is None else ("+status = ?", (status,))
    by_reward = f"reward {direction}, {by_id}"
    if after is None:
        return [PageQuery(f"{wanted} AND reward IS NOT NULL", values, by_reward)]
    # Most rewards are 0 or 1, and SQLite seeks by the first part of `(reward, id) > (?, ?)` only:
    # it would walk through all that have the same reward.
    equal, tied = f"{wanted} AND reward = ? AND id {beyond} ?", (*values, after.reward, after.id)
    unequal, others = f"{wanted} AND reward {beyond} ?", (*values, after.reward)
    return [PageQuery(equal, tied, by_id), PageQuery(unequal, others, by_reward)]
