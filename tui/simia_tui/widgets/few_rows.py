"""Rows that are all in memory, for a list that reads pages."""

from collections.abc import Sequence
from typing import Generic

from simia_tui.widgets.rows import R, Rows


class FewRows(Generic[R]):
    """A source of rows that each have a number of their own."""

    def __init__(self, rows: Sequence[R]) -> None:
        self._rows = rows

    async def page(self, limit: int, after: R | None, *, backwards: bool) -> Rows[R]:
        """The next rows, or those before."""
        rows = self._rows[::-1] if backwards else self._rows
        rows = rows[0 if after is None else self._place(rows, after) + 1 :]
        return Rows(list(rows[:limit]), len(rows) > limit)

    async def count_after(self, row: R, limit: int) -> int:
        """How many come after a row."""
        return min(limit, len(self._rows) - 1 - self._place(self._rows, row))

    def _place(self, rows: Sequence[R], row: R) -> int:
        return next((place for place, each in enumerate(rows) if each.id == row.id), -1)
