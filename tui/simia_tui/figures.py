"""Numbers and tables as the panes write them."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from simia_tui.palette import Palette
from simia_tui.text import clean_line

_WIDEST = 10_000
"""No table is wider."""


def short(number: float) -> str:
    """A count in at most five characters or so: 950, 12.3k, 4.1M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{scaled:.1f}{unit}" if scaled < 100 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"


def dollars(amount: float | None) -> str:
    """An amount, – where no price is known."""
    return "–" if amount is None else f"${amount:.2f}" if amount >= 0.01 else f"${amount:.4f}"


def per_second(rate: float, of: str) -> str:
    """A rate in words."""
    number = short(rate) if rate >= 100 else f"{rate:.1f}"
    return f"{number} {of}/s"


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], palette: Palette,
    *, flexible: int = 0,
) -> RenderableType:  # fmt: skip
    """A titled table without lines; cells that are numbers are on the right.

    `flexible` is the column that gives way.
    """
    rows = list(rows)
    if not rows:
        return Group(Text(title, style=palette.head), Text("none", style=palette.dim))
    grid = Table(
        title=title, title_justify="left", title_style=palette.head, box=None,
        padding=(0, 2, 0, 0), header_style=palette.dim, show_edge=False,
    )  # fmt: skip
    for number, column in enumerate(columns):
        figures = number != flexible and all(_is_figure(row[number]) for row in rows)
        grid.add_column(
            column, justify="right" if figures else "left", no_wrap=True, overflow="ellipsis",
            ratio=1 if number == flexible else None,
        )  # fmt: skip
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(_text(cell)) for cell in row))
    return _AsWideAsNeeded(grid)


class _AsWideAsNeeded:
    """A table whose numbers stand beside their names, and whose flexible column gives way where
    there is not room for all.
    """

    def __init__(self, grid: Table) -> None:
        self._grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(max_width=_WIDEST)
        self._grid.expand = (
            console.measure(self._grid, options=unbounded).maximum > options.max_width
        )
        yield self._grid


def pairs(rows: Iterable[tuple[str, str | Text]], palette: Palette) -> RenderableType:
    """Names and what is said of them, a line each."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(style=palette.dim, no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, said in rows:
        grid.add_row(Text(name), said if isinstance(said, Text) else Text(clean_line(said)))
    return grid


def bar(done: float, total: float, width: int) -> str:
    """A bar of `width` cells."""
    full = min(width, round(width * done / total)) if total else 0
    return "█" * full + "░" * (width - full)


def _is_figure(cell: object) -> bool:
    text = cell.plain if isinstance(cell, Text) else _text(cell)
    return not text or text[0] in "0123456789-–$." or text[-1] == "%"


def _text(cell: object) -> str:
    return clean_line(str(cell), 500)
