"""Rollouts in columns, a line a turn."""

from typing import Any, ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from simia_tui.comparing import Comparison, Lane
from simia_tui.palette import Palette, palette_of
from simia_tui.text import fit

_NARROWEST = 22
_LEAD = 5
"""Cells for the number of the turn."""


class Lanes(Widget, can_focus=True):
    """Draws a comparison; the cursor is on one of its rollouts."""

    DEFAULT_CSS = "Lanes { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "move(1)", "Next rollout", show=False),
        Binding("h,left", "move(-1)", "Rollout before", show=False),
        Binding("j,down", "scroll_turns(1)", "Turn down", show=False),
        Binding("k,up", "scroll_turns(-1)", "Turn up", show=False),
        Binding("d", "go_where_they_part", "Where they part"),
        Binding("enter", "choose", "Open"),
    ]

    class Chosen(Message):
        """Somebody wants to read a rollout."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    comparison: Comparison | None = None

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._cursor = self._left = self._top = 0

    @property
    def lane(self) -> Lane | None:
        """The rollout that the cursor is on."""
        lanes = self.comparison.lanes if self.comparison else []
        return lanes[self._cursor] if lanes else None

    def show(self, comparison: Comparison | None) -> None:
        """Draw another."""
        self.comparison = comparison
        self._cursor = self._left = self._top = 0
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line on the background of the theme."""
        return self._line_at(y).apply_style(self.rich_style)

    def _line_at(self, y: int) -> Strip:
        """Which rollouts, what became of them, or a turn of each."""
        palette, width = palette_of(self.app), self.size.width
        if self.comparison is None or not self.comparison.lanes:
            text = "  no rollouts to compare" if y == 0 else ""
            return Strip([Segment(fit(text, width), palette.dim)])
        wide, shown = self._layout()
        lanes = self.comparison.lanes[self._left : self._left + shown]
        if y < 2:
            segments = [Segment(" " * _LEAD, palette.dim)]
            segments += [
                self._header(lane, self._left + i, y, wide, palette) for i, lane in enumerate(lanes)
            ]
        else:
            segments = self._turns(self._top + y - 2, lanes, wide, palette)
        return Strip(segments).adjust_cell_length(width)

    def action_move(self, lanes: int) -> None:
        """Move the cursor."""
        if self.comparison is None:
            return
        self._cursor = max(0, min(self._cursor + lanes, len(self.comparison.lanes) - 1))
        _, shown = self._layout()
        self._left = max(self._cursor - shown + 1, min(self._left, self._cursor))
        self.refresh()

    def action_scroll_turns(self, turns: int) -> None:
        """Scroll."""
        if self.comparison is not None:
            longest = self.comparison.longest - self.size.height + 2
            self._top = max(0, min(self._top + turns, longest))
            self.refresh()

    def action_go_where_they_part(self) -> None:
        """Have the turn in sight from which on they differ."""
        if self.comparison is not None and self.comparison.parts_at is not None:
            self._top = 0
            self.action_scroll_turns(max(0, self.comparison.parts_at - 2))

    def action_choose(self) -> None:
        """Ask for the rollout to be opened."""
        if self.lane is not None:
            self.post_message(self.Chosen(self.lane.trajectory.id))

    def _layout(self) -> tuple[int, int]:
        """How wide a lane is, and how many are in sight."""
        assert self.comparison is not None
        room = max(_NARROWEST, self.size.width - _LEAD)
        shown = max(1, min(len(self.comparison.lanes), room // _NARROWEST))
        return room // shown, shown

    def _header(self, lane: Lane, index: int, y: int, wide: int, palette: Palette) -> Segment:
        trajectory = lane.trajectory
        if y == 0:
            mark = "▶" if index == self._cursor else " "
            style = palette.head
            if index == self._cursor and self.has_focus:
                style += palette.cursor
            return Segment(fit(f"{mark}{trajectory.id}", wide - 1) + " ", style)
        reward = "no reward" if trajectory.reward is None else f"reward {trajectory.reward:.2f}"
        text = f" {reward} {trajectory.stop_reason or trajectory.status}"
        return Segment(fit(text, wide - 1) + " ", palette.reward(trajectory.reward))

    def _turns(self, turn: int, lanes: list[Lane], wide: int, palette: Palette) -> list[Segment]:
        assert self.comparison is not None
        if turn >= self.comparison.longest:
            return []
        parts = turn == self.comparison.parts_at
        lead = f"{'≠' if parts else ' '}{turn + 1:>3} "
        segments = [Segment(lead, palette.bad if parts else palette.dim)]
        for lane in lanes:
            role, words = lane.turns[turn] if turn < len(lane.turns) else ("", "")
            style = palette.role(role) if role else palette.dim
            text = f" {role[:1]} {words}" if role else ""
            segments.append(Segment(fit(text, wide - 1) + " ", style))
        return segments
