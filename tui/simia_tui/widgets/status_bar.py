"""The two lines at the top: the run and how it stands, and the numbered panes."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from simia_store import RunStatus, Standing
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from simia_tui.feed import Snapshot
from simia_tui.palette import Palette, palette_of
from simia_tui.text import clean_line, fit

_NARROW = 96
MARKS = {
    Standing.NOT_BEGUN: "…",
    Standing.RUNNING: "●",
    Standing.CUT_OFF: "☠",
    Standing.DONE: "✓",
    Standing.FAILED: "✗",
    Standing.STOPPED: "■",
}
"""Of how a run stands; colours only go with them."""


class StatusBar(Widget):
    """Drawn from every snapshot, whatever pane is open."""

    DEFAULT_CSS = "StatusBar { height: 2; dock: top; background: $panel; }"

    class Picked(Message):
        """Somebody clicked on a pane's name."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._names = names
        self._open = 1
        self._snapshot: Snapshot | None = None
        self._notes = ""

    def show(self, snapshot: Snapshot | None, pane: int, notes: str) -> None:
        """Draw the run as it stands, the number of the open pane, and what else there is to say."""
        self._snapshot, self._open, self._notes = snapshot, pane, notes
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line on the background of the theme."""
        return self._line_at(y).apply_style(self.rich_style)

    def _line_at(self, y: int) -> Strip:
        """The run, or the panes."""
        palette, width = palette_of(self.app), self.size.width
        segments = self._tabs(palette) if y else self._headline(palette, width)
        return Strip(segments).adjust_cell_length(width)

    def on_click(self, event: events.Click) -> None:
        """Open the pane whose name was clicked on."""
        at = 0
        for number, name in enumerate(self._labels(), 1):
            if event.y == 1 and at <= event.x < at + len(name):
                self.post_message(self.Picked(number))
            at += len(name) + 1

    def _labels(self) -> list[str]:
        which = 1 if self.size.width < _NARROW else 0
        return [f"{number} {names[which]}" for number, names in enumerate(self._names, 1)]

    def _tabs(self, palette: Palette) -> list[Segment]:
        segments: list[Segment] = []
        for number, label in enumerate(self._labels(), 1):
            here = number == self._open
            style = palette.head + Style(reverse=True) if here else palette.dim
            segments += [Segment(label, style), Segment(" ")]
        return segments

    def _headline(self, palette: Palette, width: int) -> list[Segment]:
        snapshot = self._snapshot
        if snapshot is None or snapshot.run is None:
            return [Segment(" waiting for the run's first line…", palette.dim)]
        mark, style = MARKS[snapshot.standing], _style(palette, snapshot.standing)
        state = "PAUSED" if snapshot.is_paused else str(snapshot.standing)
        parts = [Segment(f" {mark} {snapshot.run.kind} run · {state}", style)]
        if self._notes:
            parts.append(Segment(f" · {self._notes}", palette.warn))
        if snapshot.standing == Standing.CUT_OFF:
            silent = f" · its owner is dead: silent for {span(snapshot.silent_s)}"
            parts.append(Segment(silent, palette.bad))
        elif snapshot.run.reason and snapshot.run.status != RunStatus.RUNNING:
            parts.append(Segment(f" · {clean_line(snapshot.run.reason, 300)}", style))
        used = sum(segment.cell_length for segment in parts)
        path = f"{snapshot.path} "
        if used + 2 < width:
            parts.append(Segment(fit(f"  {path}", width - used, right=True), palette.dim))
        return parts


def _style(palette: Palette, standing: Standing) -> Style:
    if standing in (Standing.FAILED, Standing.CUT_OFF):
        return palette.bad
    return palette.warn if standing == Standing.STOPPED else palette.good


def span(seconds: float) -> str:
    """A stretch of time in two units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
