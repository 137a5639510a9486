"""Data in Markdown: no text of a run, a model or a file is markup in it."""

import re
import time
from collections.abc import Iterable

from simia_store import printable
from yarl import URL

_LONGEST_TEXT = 200
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!$&@]|:(?=//))")


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A table of plain texts; the word None without rows."""
    lines = [head, ("---",) * len(head)]
    shown = [tuple(escaped(str(cell)) for cell in row) for row in rows]
    if not shown:
        return "None."
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *shown])


def escaped(text: str) -> str:
    """Text of which nothing is Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", plain(text))


def plain(text: str) -> str:
    """One line without control characters, not too long."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


def address(endpoint: str) -> str:
    """An endpoint's address without anything that could let somebody in."""
    try:
        url = URL(endpoint)
    except ValueError:
        return "an address that cannot be read"
    return str(url.with_user(None).with_query(None).with_fragment(None)) if url.host else endpoint


def day(seconds: float) -> str:
    """A moment, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
