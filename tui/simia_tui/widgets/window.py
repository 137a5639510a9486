"""The stretch of a long list that is in memory: its rows, and the cursor on one of them.

What reads tells whether the cursor may be on another row afterwards.
"""

from collections.abc import Callable, Sequence
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
        self._beyond = 0
        """How many rows past those in memory the cursor is to go."""

    @property
    def row(self) -> R | None:
        """The row that the cursor is on."""
        return self.rows[self.cursor] if self.rows else None

    def go(self, rows: int) -> bool | None:
        """Move the cursor, as far as there are rows. Whether some have to be read then: None, or if
        backwards.
        """
        aim = self.cursor + self._beyond + rows
        backwards = True if aim < self.height and not self.at_start else None
        if aim >= len(self.rows) - self.height and not self.at_end:
            backwards = False
        self.put(aim)
        if backwards is not None:
            self._beyond = aim - self.cursor
        return backwards

    def put(self, index: int) -> None:
        """Put the cursor on a row, or on the nearest end."""
        self.cursor, self._beyond = max(0, min(index, len(self.rows) - 1)), 0
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

    async def extend(self, *, backwards: bool) -> bool:
        """Read on in one direction, and go where the cursor is to go."""
        while True:
            edge = self.rows[0 if backwards else -1]
            page = await self.source.page(_PAGE + self.height, edge, backwards=backwards)
            if backwards:
                self._put_before(page.rows[::-1], page.more)
            else:
                self._put_after(page.rows, page.more)
            aim = self.cursor + self._beyond
            self.put(aim)
            if self.cursor == aim or not page.more:
                return True
            self._beyond = aim - self.cursor

    def _put_before(self, rows: list[R], more: bool) -> None:
        self.rows = rows + self.rows
        self.at_start = not more
        self._shift(len(rows))
        # Keys may have moved what is seen while rows were read: that stays in memory.
        if len(self.rows) > (most := max(_MOST, self.top + self.height)):
            del self.rows[most:]
            self.at_end = False

    def _put_after(self, rows: list[R], more: bool) -> None:
        self.rows += rows
        self.at_end = not more
        if self.at_end and self._end is None:
            self._end = self.rows[-1]
        if (over := min(len(self.rows) - _MOST, self.top)) > 0:
            del self.rows[:over]
            self.at_start = False
            self._shift(-over)

    def _shift(self, rows: int) -> None:
        self.cursor += rows
        self.top += rows

    async def refresh(self) -> bool:
        """Read the same stretch again from its first row on; the cursor stays on its row."""
        if not self.rows:
            return await self.jump(False)
        before = await self.source.page(1, self.rows[0], backwards=True)
        edge = before.rows[0] if before.rows else None
        # Rows whose place is filled by others that came between are read again when asked for.
        page = await self.source.page(max(_PAGE, len(self.rows)), edge, backwards=False)
        rows = list(page.rows)
        if (index := self._place_in(rows)) is not None:
            self._shift(index - self.cursor)
            self.rows, self.at_end = rows, not page.more
            self.at_start = edge is None
        if self._end is not None:
            self.new = await self.source.count_after(self._end, MANY)
        self.show_cursor()
        return False

    async def read_all(self) -> bool:
        """Read all rows, with the cursor on the row that it was on, wherever that is now."""
        page = await self.source.page(_MOST, None, backwards=False)
        index = self._place_in(page.rows)
        self.rows, self.at_start, self.at_end = page.rows, True, not page.more
        if index is None:
            self.put(self.cursor)
            return True
        self._shift(index - self.cursor)
        self.show_cursor()
        return False

    def _place_in(self, rows: Sequence[R]) -> int | None:
        """Where the row of the cursor is now; keys may have moved it while others were read."""
        here = self.row
        return next((i for i, row in enumerate(rows) if here and row.id == here.id), None)
