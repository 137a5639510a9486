"""Lines of text to scroll through and to search. It draws those that are visible."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from simia_tui.palette import palette_of


class Pager(ScrollView, can_focus=True):
    """Shows lines that somebody else has wrapped."""

    DEFAULT_CSS = "Pager { width: 1fr; height: 1fr; overflow-x: hidden; overflow-y: scroll; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Line down", show=False),
        Binding("k,up", "scroll_up", "Line up", show=False),
        Binding("ctrl+d,pagedown", "page_down", "Page down", show=False),
        Binding("ctrl+u,pageup", "page_up", "Page up", show=False),
        Binding("g,home", "scroll_home", "Beginning", show=False),
        Binding("G,end", "scroll_end", "End", show=False),
    ]

    lines: Sequence[Strip] = ()
    _words = ""
    _found: int | None = None

    def show(self, lines: Sequence[Strip], *, keep_place: bool) -> None:
        """Show other lines, from the first on or from where one is."""
        self.lines = lines
        self._found = None
        self.virtual_size = Size(self.scrollable_content_region.width, len(lines))
        if not keep_place:
            self.scroll_to(y=0, animate=False)
        self.refresh()

    def go(self, line: int) -> None:
        """Have a line on top."""
        self.scroll_to(y=line, animate=False, force=True)

    def search(self, words: str) -> bool:
        """Go to the first line from the top one on that holds `words`; False if none does."""
        self._words = words.lower()
        self._found = self.scroll_offset.y - 1
        return self.search_on(1)

    def search_on(self, direction: int) -> bool:
        """Go to the next line that holds them, round the end."""
        if not self._words or not self.lines:
            return False
        count = len(self.lines)
        at = self._found if self._found is not None else -1
        for far in range(1, count + 1):
            index = (at + direction * far) % count
            if self._words in self.lines[index].text.lower():
                self._found = index
                self.go(max(0, index - self.size.height // 3))
                self.refresh()
                return True
        return False

    def render_line(self, y: int) -> Strip:
        """One line on the background of the theme."""
        return self._line_at(y).apply_style(self.rich_style)

    def _line_at(self, y: int) -> Strip:
        """One line."""
        index, width = y + self.scroll_offset.y, self.size.width
        if index >= len(self.lines):
            return Strip.blank(width)
        strip = self.lines[index].adjust_cell_length(width)
        if index == self._found:
            return strip.apply_style(palette_of(self.app).found)
        return strip
