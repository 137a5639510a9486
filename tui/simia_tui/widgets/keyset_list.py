"""A list of any length of which only a window is in memory, read in pages found by key.

It draws its lines itself, and only those that are visible. The cursor is on a row, not on a number
of one: it stays there while others come.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Generic

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from simia_tui.background import in_background
from simia_tui.palette import Palette, palette_of
from simia_tui.text import fit
from simia_tui.widgets.few_rows import FewRows
from simia_tui.widgets.rows import Column, R, Source
from simia_tui.widgets.window import MANY, Window

_REST = 15.0
"""How many times as long as a look at the run took it is left alone afterwards."""
_SOON_S = 0.05

Reading = Callable[[], Coroutine[Any, Any, bool]]
"""Reads, and tells whether the cursor may be on another row afterwards."""


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
        self._window: Window[R] = Window(FewRows(()))
        self._is_open = False
        self._said = ""
        """What is said of the reading, where somebody waits for it."""
        self._is_reading = False
        self._ticket = 0
        self._rest_until = 0.0
        self._looks_later = False

    @property
    def row(self) -> R | None:
        """The row that the cursor is on."""
        return self._window.row

    @property
    def is_awaited(self) -> bool:
        """Whether rows are being read that somebody has asked for."""
        return bool(self._said)

    def open(self, source: Source[R], *, at_end: bool = False) -> None:
        """Show rows of `source`, from the beginning or from the end."""
        self._window, self._is_open = Window(source), True
        self._window.height = self._height
        self.following = False
        self._read(partial(self._window.jump, at_end), "reading…")

    def replace(self, source: Source[R]) -> None:
        """Show a source anew that is small enough to be read as a whole."""
        window = self._window
        window.source = source
        self._read(window.read_all if self._is_open else partial(window.jump, False), "")
        self._is_open = True

    def look_again(self) -> None:
        """Something was written: read the window anew, and count what came after it."""
        if not self._is_open:
            return
        rest_s = self._rest_until - monotonic()
        # What is being read is not begun anew: of a search that would never come to an end.
        if not self._is_reading and rest_s <= 0:
            self._read(self._follow if self.following else self._window.refresh, "")
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
        index = self._window.top + y - 1
        if index < len(self._window.rows):
            return self._line(index, palette, width)
        if index == 0:
            empty = "reading…" if self._said or not self._is_open else self.empty
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
        window = self._window
        if not to_end and window.at_start and window.rows:
            window.put(0)  # at once: the next key may already mean that row
            self._show(moved=True)
        else:
            self._read(partial(window.jump, to_end), "reading…")

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
        self.action_move(self._window.found(wanted, direction) - self._window.cursor)

    def action_choose(self) -> None:
        """Ask for the row to be opened."""
        if self.row is not None:
            self.post_message(self.Chosen(self.row))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; a second click opens the row."""
        window = self._window
        index = window.top + event.y - 1
        if 0 < event.y < self.size.height - 1 and index < len(window.rows):
            again = index == window.cursor
            self._go(index - window.cursor)
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
        self._window.height = self._height
        self._window.show_cursor()
        self.refresh()

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 2)

    def _go(self, rows: int) -> None:
        window = self._window
        backwards = window.go(rows)
        self._show(moved=True)
        if backwards is not None:
            self._read(partial(window.extend, backwards=backwards), "reading…")

    def _show(self, *, moved: bool) -> None:
        self.refresh()
        if moved:
            self.post_message(self.Moved(self.row))

    def _read(self, reading: Reading, said: str) -> None:
        """Read in the background; what is still being read for an earlier key is given up."""
        self._said, self._is_reading = said, True
        self._ticket += 1
        if said:
            self.refresh()
        in_background(self, partial(self._told, reading, self._ticket), "pages")

    async def _told(self, reading: Reading, ticket: int) -> None:
        began = monotonic()
        try:
            self._show(moved=await reading())
        finally:
            self._rest_until = monotonic() + _REST * (monotonic() - began)
            if ticket == self._ticket:
                self._said, self._is_reading = "", False
                self.refresh()

    async def _follow(self) -> bool:
        moved = await self._window.jump(True)
        self.following = True
        return moved

    def _laid_out(self) -> list[tuple[Column[R], int]]:
        width = self.size.width
        shown = [column for column in self._columns if width >= column.from_width]
        left = width - 3 - sum(column.width + 1 for column in shown)
        return [(column, column.width or max(1, left)) for column in shown]

    def _line(self, index: int, palette: Palette, width: int) -> Strip:
        row = self._window.rows[index]
        here, marked = index == self._window.cursor, row.id in self.marked
        lead = ("▶" if here else " ") + ("●" if marked else " ")
        segments = [Segment(lead, palette.warn)]
        for column, wide in self._laid_out():
            text, style = column.cell(row, palette)
            segments.append(Segment(fit(text, wide, right=column.right) + " ", style))
        strip = Strip(segments).adjust_cell_length(width)
        return strip.apply_style(palette.cursor) if here and self.has_focus else strip

    def _footing(self) -> str:
        window = self._window
        if self._said:
            return f"  {self._said}"
        parts = [f"{len(self.marked)} marked"] if self.marked else []
        if self.following:
            parts.append("following ↓")
        elif window.new:
            parts.append(f"{window.new if window.new < MANY else f'{MANY - 1}+'} new ↓")
        elif window.rows and not window.at_end:
            parts.append("more ↓")
        return "  " + " · ".join(parts)
