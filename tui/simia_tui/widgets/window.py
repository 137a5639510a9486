"""The stretch of a long list that is in memory: its rows, and the cursor on one of them.

What reads tells whether the cursor may be on another row afterwards.
"""

from collections.abc import Callable
from typing import Generic

from simia_tui.widgets.rows import R, Source

_PAGE = 100
_MOST = 500
"""Rows in memory."""
MANY = 1000
"""New rows are counted up to so many."""


class Window(Generic[R]):
    """Rows of `source` in order, `height` of which are seen from `top` on."""

    def __init__(self, source: Source[R]) -> None:
        self.source = source
        self.rows: list[R] = []
        self.top = self.cursor = 0
        self.height = 1
        self.at_start = self.at_end = True
        """Whether no other rows come before the first one and after the last."""
        self.new = 0
        """How many rows came after the last one there was when somebody stood at it."""
        self._end: R | None = None

    @property
    def row(self) -> R | None:
        """The row that the cursor is on."""
        return self.rows[self.cursor] if self.rows else None

    def ends_before(self, aim: int) -> bool | None:
        """Whether rows have to be read for the cursor to come to `aim`: None, or if backwards."""
        if aim >= len(self.rows) - self.height and not self.at_end:
            return False
        return True if aim < self.height and not self.at_start else None

    def put(self, index: int) -> None:
        """Put the cursor on a row, or on the nearest end."""
        self.cursor = max(0, min(index, len(self.rows) - 1))
        if self.at_end and self.rows and self.cursor == len(self.rows) - 1:
            self._end, self.new = self.rows[-1], 0
        self.show_cursor()

    def show_cursor(self) -> None:
        """Have the cursor in sight, and no empty lines where there are rows."""
        self.top = max(self.cursor - self.height + 1, min(self.top, self.cursor))
        self.top = max(0, min(self.top, len(self.rows) - self.height))

    def found(self, wanted: Callable[[R], bool], direction: int) -> int:
        """Where the next row is that is wanted; the end of the window where none is."""
        end = len(self.rows) if direction > 0 else -1
        for index in range(self.cursor + direction, end, direction):
            if wanted(self.rows[index]):
                return index
        return end - direction

    async def jump(self, to_end: bool) -> bool:
        """Read the first or the last rows."""
        page = await self.source.page(_PAGE, None, backwards=to_end)
        self.rows = page.rows[::-1] if to_end else list(page.rows)
        self.at_start, self.at_end = not (to_end and page.more), to_end or not page.more
        self._end, self.new = (self.rows[-1] if self.at_end and self.rows else None), 0
        self.top = 0
        self.put(len(self.rows) - 1 if to_end else 0)
        return True

    async def extend(self, aim: int, *, backwards: bool) -> bool:
        """Read on in one direction, until the window holds what the cursor aims at."""
        edge = self.rows[0 if backwards else -1]
        page = await self.source.page(_PAGE + self.height, edge, backwards=backwards)
        if backwards:
            self.rows = page.rows[::-1] + self.rows
            self.at_start = not page.more
            added = len(page.rows)
            self.cursor, self.top, aim = self.cursor + added, self.top + added, aim + added
            if len(self.rows) > _MOST:
                del self.rows[_MOST:]
                self.at_end = False
        else:
            self.rows += page.rows
            self.at_end = not page.more
            if self.at_end and self._end is None:
                self._end = self.rows[-1]
            if (over := len(self.rows) - _MOST) > 0:
                del self.rows[:over]
                self.at_start = False
                self.cursor, self.top, aim = self.cursor - over, self.top - over, aim - over
        self.put(aim)
        return True

    async def refresh(self) -> bool:
        """Read the same stretch again from its first row on; the cursor stays on its row."""
        here = self.row
        if here is None:
            return await self.jump(False)
        before = await self.source.page(1, self.rows[0], backwards=True)
        edge = before.rows[0] if before.rows else None
        # Rows whose place is filled by others that came between are read again when asked for.
        page = await self.source.page(max(_PAGE, len(self.rows)), edge, backwards=False)
        rows = list(page.rows)
        index = next((i for i, row in enumerate(rows) if row.id == here.id), None)
        if index is not None:
            self.top += index - self.cursor
            self.rows, self.cursor, self.at_end = rows, index, not page.more
            self.at_start = edge is None
        if self._end is not None:
            self.new = await self.source.count_after(self._end, MANY)
        self.show_cursor()
        return False

    async def read_all(self) -> bool:
        """Read all rows, with the cursor on the row that it was on, wherever that is now."""
        here = self.row
        page = await self.source.page(_MOST, None, backwards=False)
        self.rows, self.at_start, self.at_end = page.rows, True, not page.more
        index = next((i for i, row in enumerate(page.rows) if here and row.id == here.id), None)
        if index is None:
            self.put(self.cursor)
            return True
        self.top += index - self.cursor
        self.cursor = index
        self.show_cursor()
        return False
