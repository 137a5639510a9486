"""Text from models made fit for a cell of the screen. It is data: shown, never obeyed.

What would reach out of its cell is shown as a picture or left out: control characters (ESC as ␛),
controls of the writing direction (⟐), characters without a width, and combining marks without end.
"""

import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len, chop_cells, set_cell_size
from simia_store import printable

LONGEST = 20_000
"""Characters of one text that a screen shows; exports hold all of it."""
_MOST_MARKS = 2
"""Combining marks that may stand on one character."""

_DIRECTION = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_WIDTHLESS = [0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x180E, *range(0x2061, 0x2066)]
_TABLE: dict[int, str | None] = {
    **dict.fromkeys(_DIRECTION, "⟐"),
    **dict.fromkeys(_WIDTHLESS),
    **dict.fromkeys(range(0xFE00, 0xFE10)),
    **dict.fromkeys(range(0xE0000, 0xE01F0)),
    **dict.fromkeys([0x85, 0x2028, 0x2029], "\n"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **dict.fromkeys(range(0xFFF9, 0xFFFC), "\ufffd"),
    0x09: "    ",
}


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` without anything that acts; line ends stay. What is beyond `longest` is counted."""
    shown = text[:longest].replace("\r\n", "\n").translate(_TABLE)
    if not shown.isascii():
        shown = "".join(_few_marks(shown))
    shown = printable(shown)
    if len(text) > longest:
        shown += f" … {len(text) - longest:,} more characters"
    return shown


def clean_line(text: str, longest: int = 1000) -> str:
    """`text` on one line, with line ends shown as ⏎."""
    return clean(text, longest).replace("\n", "⏎")


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` on one line of exactly `width` cells; what does not fit ends in …."""
    # A cell holds at least half a character, but for marks, which `clean` keeps few.
    line = clean_line(text, width * (_MOST_MARKS + 1) + 1)
    cells = cell_len(line)
    if cells > width:
        return set_cell_size(line, max(0, width - 1)) + "…"[:width]
    padding = " " * (width - cells)
    return padding + line if right else line + padding


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces where there are any. `text` is clean."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines += [line] if cell_len(line) <= width else _wrapped(line, max(2, width))
    return lines


def _wrapped(line: str, width: int) -> Iterator[str]:
    current, cells = "", 0
    for word in line.split(" "):
        needed = cell_len(word)
        if current and cells + 1 + needed <= width:
            current, cells = f"{current} {word}", cells + 1 + needed
            continue
        if current:
            yield current
        pieces = chop_cells(word, width) if needed > width else [word]
        yield from pieces[:-1]
        current = pieces[-1] if pieces else ""
        cells = cell_len(current)
    yield current


def _few_marks(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            yield character
