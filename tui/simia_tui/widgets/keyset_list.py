"""A list of any length of which only a window is in memory, read in pages found by key.

It draws its lines itself, and only those that are visible. The cursor is on a row, not on a number
of one: it stays there while others come.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from simia_tui.background import Work, in_background
from simia_tui.palette import Palette, palette_of
from simia_tui.text import fit

_PAGE = 100
_MOST = 500
"""Rows in memory."""
MANY = 1000
"""New rows are counted up to so many."""
_REST = 15.0
"""How many times as long as a look at the run took it is left alone afterwards."""
_SOON_S = 0.05


class Row(Protocol):
    """Rows have numbers that are theirs for good."""

    @property
    def id(self) -> int:
        """The number."""


R = TypeVar("R", bound=Row)


class Rows(NamedTuple, Generic[R]):
    """Rows in order, and whether others follow."""

    rows: list[R]
    more: bool


class Source(Protocol[R]):
    """Where rows are read from."""

    async def page(self, limit: int, after: R | None, *, backwards: bool) -> Rows[R]:
        """The next rows after one, or those before it, nearest first; from an end without one."""

    async def count_after(self, row: R, limit: int) -> int:
        """How many come after a row, counted up to a limit."""

    @property
    def is_costly(self) -> bool:
        """Whether reading takes seconds, so that it is done when asked for only."""


class Column(msgspec.Struct, Generic[R], frozen=True):
    """One column. `cell` tells a row's text and its style."""

    title: str
    width: int
    """In cells; 0 takes what is left."""
    cell: Callable[[R, Palette], tuple[str, Style]]
    right: bool = False
    from_width: int = 0
    """It is left out where the list is narrower."""


class KeysetList(Widget, Generic[R], can_focus=True):
    """Rows of a `Source` in columns."""

    DEFAULT_CSS = "KeysetList { height: 1fr; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Next row", show=False),
        Binding("k,up", "move(-1)", "Row before", show=False),
        Binding("ctrl+d,pagedown", "move_page(1)", "Page down", show=False),
        Binding("ctrl+u,pageup", "move_page(-1)", "Page up", show=False),
        Binding("g,home", "jump(False)", "First row", show=False),
        Binding("G,end", "jump(True)", "Last row", show=False),
        Binding("f", "follow", "Follow"),
        Binding("space", "mark", "Mark"),
        Binding("enter", "choose", "Open"),
    ]

    class Chosen(Message):
        """Somebody wants to see a row from close by."""

        def __init__(self, row: Any) -> None:
            super().__init__()
            self.row = row

    class Moved(Chosen):
        """The cursor is on another row, or on none."""

    def __init__(self, columns: Sequence[Column[R]], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.marked: set[int] = set()
        self.following = False
        self.empty = "nothing here yet"
        self._columns = columns
        self._source: Source[R] | None = None
        self._rows: list[R] = []
        self._top = self._cursor = 0
        self._at_start = self._at_end = True
        self._end: R | None = None
        """The last row there was when somebody stood at it."""
        self._new = 0
        """How many came after that."""
        self._reading = ""
        self._ticket = 0
        self._rest_until = 0.0
        self._looks_later = False

    @property
    def row(self) -> R | None:
        """The row that the cursor is on."""
        return self._rows[self._cursor] if self._rows else None

    def open(self, source: Source[R], *, at_end: bool = False) -> None:
        """Show rows of `source`, from the beginning or from the end."""
        self._source, self._rows, self._end = source, [], None
        self.following = False
        self._read(partial(self._jump, at_end), "reading…")

    def replace(self, source: Source[R]) -> None:
        """Show a source anew that is small enough to be read as a whole."""
        first = self._source is None
        self._source = source
        self._read(partial(self._jump, False) if first else self._read_all, "")

    def look_again(self) -> None:
        """Something was written: read the window anew, and count what came after it."""
        source = self._source
        if source is None or source.is_costly:
            return
        rest_s = self._rest_until - monotonic()
        if not self._reading and rest_s <= 0:
            self._read(self._follow if self.following else self._refresh, "")
        elif not self._looks_later:
            # Nothing else may be written for a long time, so what is put off is made up for.
            self._looks_later = True
            self.set_timer(max(rest_s, _SOON_S), self._look_after_rest)

    def _look_after_rest(self) -> None:
        self._looks_later = False
        self.look_again()

    def render_line(self, y: int) -> Strip:
        """One line on the background of the theme."""
        return self._line_at(y).apply_style(self.rich_style)

    def _line_at(self, y: int) -> Strip:
        """The header, a row, or what there is to say below the rows."""
        palette, width = palette_of(self.app), self.size.width
        if y == 0:
            titles = [
                Segment(fit(column.title, wide, right=column.right) + " ", palette.head)
                for column, wide in self._laid_out()
            ]
            return Strip([Segment("  ", palette.head), *titles]).adjust_cell_length(width)
        if y == self.size.height - 1:
            return Strip([Segment(fit(self._footing(), width), palette.dim)])
        index = self._top + y - 1
        if index < len(self._rows):
            return self._line(index, palette, width)
        if index == 0:
            empty = "reading…" if self._reading or self._source is None else self.empty
            return Strip([Segment(fit(f"  {empty}", width), palette.dim)])
        return Strip.blank(width)

    def action_move(self, rows: int) -> None:
        """Move the cursor, and read on where the window ends."""
        self.following = False
        self._go(rows)

    def action_move_page(self, pages: int) -> None:
        """Move it by what is visible."""
        self.action_move(pages * max(1, self._height - 1))

    def action_jump(self, to_end: bool) -> None:
        """Go to the first or the last row."""
        self.following = False
        if not to_end and self._at_start and self._rows:
            self._put(0)  # at once: the next key may already mean that row
        else:
            self._read(partial(self._jump, to_end), "reading…")

    def action_follow(self) -> None:
        """Stay at the last row, whatever comes; or no longer."""
        if self.following:
            self.following = False
            self.refresh()
        else:
            self.action_jump(True)
            self.following = True

    def action_mark(self) -> None:
        """Mark the row, or no longer, and go on to the next."""
        if self.row is not None:
            self.marked ^= {self.row.id}
            self.action_move(1)
            self.refresh()

    def seek(self, wanted: Callable[[R], bool], direction: int) -> None:
        """Go to the next row in memory that is wanted, or to the end of the window."""
        indices = range(
            self._cursor + direction, len(self._rows) if direction > 0 else -1, direction
        )
        found = next((index for index in indices if wanted(self._rows[index])), None)
        self.action_move((indices.stop - direction if found is None else found) - self._cursor)

    def action_choose(self) -> None:
        """Ask for the row to be opened."""
        if self.row is not None:
            self.post_message(self.Chosen(self.row))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; a second click opens the row."""
        index = self._top + event.y - 1
        if 0 < event.y < self.size.height - 1 and index < len(self._rows):
            again = index == self._cursor
            self._go(index - self._cursor)
            if again or event.chain > 1:
                self.action_choose()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows on."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows back."""
        event.stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._show()

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 2)

    def _go(self, rows: int) -> None:
        aim = self._cursor + rows
        if aim >= len(self._rows) - self._height and not self._at_end:
            self._read(partial(self._extend, aim, backwards=False), "reading…")
        elif aim < self._height and not self._at_start:
            self._read(partial(self._extend, aim, backwards=True), "reading…")
        else:
            self._put(aim)

    def _put(self, index: int) -> None:
        self._cursor = max(0, min(index, len(self._rows) - 1))
        if self._at_end and self._rows and self._cursor == len(self._rows) - 1:
            self._end, self._new = self._rows[-1], 0
        self._show()
        self.post_message(self.Moved(self.row))

    def _show(self) -> None:
        self._top = max(self._cursor - self._height + 1, min(self._top, self._cursor))
        self._top = max(0, min(self._top, len(self._rows) - self._height))
        self.refresh()

    def _read(self, work: Work, saying: str) -> None:
        """Read in the background; what is still being read for an earlier key is given up."""
        self._reading = saying
        self._ticket += 1
        if saying:
            self.refresh()
        in_background(self, partial(self._told, work, self._ticket), "pages")

    async def _told(self, work: Work, ticket: int) -> None:
        began = monotonic()
        try:
            await work()
        finally:
            self._rest_until = monotonic() + _REST * (monotonic() - began)
            if ticket == self._ticket:
                self._reading = ""
                self.refresh()

    async def _jump(self, to_end: bool) -> None:
        assert self._source is not None
        page = await self._source.page(_PAGE, None, backwards=to_end)
        self._rows = page.rows[::-1] if to_end else list(page.rows)
        self._at_start, self._at_end = not (to_end and page.more), to_end or not page.more
        self._end, self._new = (self._rows[-1] if self._at_end and self._rows else None), 0
        self._top = 0
        self._put(len(self._rows) - 1 if to_end else 0)

    async def _extend(self, aim: int, *, backwards: bool) -> None:
        """Read on in one direction, until the window holds what the cursor aims at."""
        assert self._source is not None
        page = await self._source.page(
            _PAGE + self._height, self._rows[0 if backwards else -1], backwards=backwards
        )
        if backwards:
            self._rows = page.rows[::-1] + self._rows
            self._at_start = not page.more
            added = len(page.rows)
            self._cursor, self._top, aim = self._cursor + added, self._top + added, aim + added
            if len(self._rows) > _MOST:
                del self._rows[_MOST:]
                self._at_end = False
        else:
            self._rows += page.rows
            self._at_end = not page.more
            if self._at_end and self._end is None:
                self._end = self._rows[-1]
            if (over := len(self._rows) - _MOST) > 0:
                del self._rows[:over]
                self._at_start = False
                self._cursor, self._top, aim = self._cursor - over, self._top - over, aim - over
        self._put(aim)

    async def _refresh(self) -> None:
        """The same window from its first row on, and the cursor on the row that it was on."""
        assert self._source is not None
        here = self.row
        if here is None:
            await self._jump(False)
            return
        first = self._rows[0]
        before = await self._source.page(1, first, backwards=True)
        edge = before.rows[0] if before.rows else None
        # Rows whose place is filled by others that came between are read again when asked for.
        page = await self._source.page(max(_PAGE, len(self._rows)), edge, backwards=False)
        rows = list(page.rows)
        index = next((i for i, row in enumerate(rows) if row.id == here.id), None)
        if index is not None:
            self._top += index - self._cursor
            self._rows, self._cursor, self._at_end = rows, index, not page.more
            self._at_start = edge is None
        if self._end is not None:
            self._new = await self._source.count_after(self._end, MANY)
        self._show()

    async def _read_all(self) -> None:
        """All rows, with the cursor on the row that it was on, wherever that is now."""
        assert self._source is not None
        here = self.row
        page = await self._source.page(_MOST, None, backwards=False)
        self._rows, self._at_start, self._at_end = page.rows, True, not page.more
        numbers = [row.id for row in page.rows]
        if here is not None and here.id in numbers:
            index = numbers.index(here.id)
            self._top += index - self._cursor
            self._cursor = index
            self._show()
        else:
            self._put(self._cursor)

    async def _follow(self) -> None:
        await self._jump(True)
        self.following = True

    def _laid_out(self) -> list[tuple[Column[R], int]]:
        width = self.size.width
        shown = [column for column in self._columns if width >= column.from_width]
        left = width - 3 - sum(column.width + 1 for column in shown)
        return [(column, column.width or max(1, left)) for column in shown]

    def _line(self, index: int, palette: Palette, width: int) -> Strip:
        row = self._rows[index]
        here, marked = index == self._cursor, row.id in self.marked
        lead = ("▶" if here else " ") + ("●" if marked else " ")
        segments = [Segment(lead, palette.warn)]
        for column, wide in self._laid_out():
            text, style = column.cell(row, palette)
            segments.append(Segment(fit(text, wide, right=column.right) + " ", style))
        strip = Strip(segments).adjust_cell_length(width)
        return strip.apply_style(palette.cursor) if here and self.has_focus else strip

    def _footing(self) -> str:
        if self._reading:
            return f"  {self._reading}"
        parts = [f"{len(self.marked)} marked"] if self.marked else []
        if self.following:
            parts.append("following ↓")
        elif self._new:
            parts.append(f"{self._new if self._new < MANY else f'{MANY - 1}+'} new ↓")
        elif self._rows and not self._at_end:
            parts.append("more ↓")
        return "  " + " · ".join(parts)
