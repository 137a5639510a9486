"""A plot of curves over steps, in braille, with a crosshair."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from simia_tui.palette import palette_of
from simia_tui.text import fit

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column."""
_LABEL = 9
"""Cells for the labels of the values."""


class Curve(msgspec.Struct, frozen=True):
    """One line of a plot."""

    label: str
    points: Sequence[tuple[int, float]]
    """Step and value, in order of steps."""
    faint: bool = False
    """Whether it only goes with another: a bound."""


class Plot(Widget):
    """Curves that share their axes. The title tells their values at the crosshair, or the last."""

    DEFAULT_CSS = "Plot { height: 9; width: 1fr; }"

    def __init__(self, title: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._title = title
        self._curves: Sequence[Curve] = ()
        self._step: int | None = None
        self._drawn: tuple[Any, list[Strip]] | None = None

    def show(self, curves: Sequence[Curve], step: int | None = None) -> None:
        """Draw `curves`, with the crosshair at `step`."""
        self._curves = [
            msgspec.structs.replace(curve, points=[p for p in curve.points if isfinite(p[1])])
            for curve in curves
        ]
        self._step, self._drawn = step, None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line on the background of the theme."""
        return self._line_at(y).apply_style(self.rich_style)

    def _line_at(self, y: int) -> Strip:
        """One line, from what was drawn for this size and theme."""
        key = (self.size, self.app.theme)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, self._draw(self.size.width, self.size.height)
        lines = self._drawn[1]
        return lines[y] if y < len(lines) else Strip.blank(self.size.width)

    def _draw(self, width: int, height: int) -> list[Strip]:
        palette = palette_of(self.app)
        lines = [self._headline(width)]
        columns, rows = width - _LABEL - 1, height - 2
        values = [value for curve in self._curves for _, value in curve.points]
        if not values or columns < 4 or rows < 2:
            lines.append(Strip([Segment(fit("  not measured yet", width), palette.dim)]))
            return lines
        steps = [step for curve in self._curves for step, _ in curve.points]
        frame = _Frame(min(steps), max(steps), *_range(values), columns, rows)
        cells = self._cells(frame)
        cross = None if self._step is None else min(columns - 1, max(0, frame.x(self._step) // 2))
        for row in range(rows):
            label = _number(frame.high) if row == 0 else ""
            label = _number(frame.low) if row == rows - 1 else label
            segments = [Segment(label.rjust(_LABEL - 1) + " │", palette.dim)]
            for column in range(columns):
                bits, style = cells[row][column]
                mark = chr(0x2800 + bits) if bits else "┊" if column == cross else " "
                segments.append(Segment(mark, style if bits else palette.dim))
            lines.append(Strip(segments).simplify())
        first, last = str(frame.first), str(frame.last)
        axis = first if first == last else first + last.rjust(columns - len(first))
        lines.append(Strip([Segment(fit(" " * (_LABEL + 1) + axis, width), palette.dim)]))
        return lines

    def _headline(self, width: int) -> Strip:
        palette = palette_of(self.app)
        told = [
            (palette.curves[number % len(palette.curves)], curve.label, _number(at))
            for number, curve in enumerate(self._curves)
            if not curve.faint and (at := _value_at(curve.points, self._step)) is not None
        ]
        # Values are told whole; what they are called gives way.
        room = width - cell_len(self._title) - sum(len(value) + 3 for _, _, value in told)
        longest = max(0, room) // max(1, len(told))
        if sum(cell_len(label) for _, label, _ in told) <= room:
            longest = width
        segments = [Segment(self._title, palette.head)]
        for style, label, value in told:
            name = fit(label, min(longest, cell_len(label)))
            segments.append(Segment(f"  {name} " if name else "  ", style))
            segments.append(Segment(value, palette.text))
        return Strip(segments).adjust_cell_length(width).simplify()

    def _cells(self, frame: "_Frame") -> list[list[tuple[int, Style | None]]]:
        palette = palette_of(self.app)
        cells: list[list[tuple[int, Style | None]]] = [
            [(0, None)] * frame.columns for _ in range(frame.rows)
        ]
        for number, curve in reversed(list(enumerate(self._curves))):
            style = palette.dim if curve.faint else palette.curves[number % len(palette.curves)]
            for x, y in frame.dots(curve.points, dotted=curve.faint):
                bits, _ = cells[y // 4][x // 2]
                cells[y // 4][x // 2] = bits | _DOTS[y % 4][x % 2], style
        return cells


class _Frame(msgspec.Struct, frozen=True):
    """Where steps and values lie on a grid of dots, two by four of them a cell."""

    first: int
    last: int
    low: float
    high: float
    columns: int
    rows: int

    def x(self, step: int) -> int:
        """Column of dots."""
        across = self.columns * 2 - 1
        return round((step - self.first) / max(1, self.last - self.first) * across)

    def y(self, value: float) -> int:
        """Row of dots, from the top."""
        down = self.rows * 4 - 1
        return round((self.high - value) / (self.high - self.low) * down)

    def dots(self, points: Sequence[tuple[int, float]], *, dotted: bool) -> set[tuple[int, int]]:
        """The dots of a curve. Of the values of one column the least and the greatest are drawn."""
        spans: dict[int, tuple[int, int]] = {}
        found: set[tuple[int, int]] = set()
        before: tuple[int, int] | None = None
        for step, value in points:
            x, y = self.x(step), self.y(value)
            top, bottom = spans.get(x, (y, y))
            spans[x] = min(top, y), max(bottom, y)
            if before is not None and before[0] != x and not dotted:
                found |= _line(*before, x, y)
            before = x, y
        for x, (top, bottom) in spans.items():
            found |= {(x, y) for y in range(top, bottom + 1)}
        return found


def _line(x0: int, y0: int, x1: int, y1: int) -> set[tuple[int, int]]:
    long = max(abs(x1 - x0), abs(y1 - y0))
    return {
        (round(x0 + (x1 - x0) * i / long), round(y0 + (y1 - y0) * i / long))
        for i in range(long + 1)
    }


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low > abs(high) * 1e-9:
        return low, high
    margin = abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _value_at(points: Sequence[tuple[int, float]], step: int | None) -> float | None:
    """The value at a step, or the last one before it."""
    if not points:
        return None
    if step is None:
        return points[-1][1]
    return next((value for at, value in reversed(points) if at <= step), None)


def _number(value: float) -> str:
    text = f"{value:.3g}"
    return text if len(text) < _LABEL else f"{value:.1e}"
