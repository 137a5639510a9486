"""The processes that play a run's conversations, where there are several (`--workers`)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from simia_tui.figures import short, table
from simia_tui.palette import Palette
from simia_tui.text import clean_line

_NAME = re.compile(r"worker (\d+)")
_SILENT_S = 10.0
"""A worker that has not been heard for so long is pointed out."""


def workers_table(
    statistics: Mapping[str, Mapping[str, Any]], palette: Palette
) -> RenderableType | None:
    """A line for each `worker …` that says something of itself; None where there is none.

    What one does not say is left open.
    """
    found = sorted(
        (int(name[1]), said) for source, said in statistics.items()
        if (name := _NAME.fullmatch(source))
    )  # fmt: skip
    if not found:
        return None
    columns = (
        "worker", "where", "has", "calls", "waiting", "done", "share", "heard", "restarts",
    )  # fmt: skip
    rows = [(str(number), *_cells(said, palette)) for number, said in found]
    return table(f"{len(found)} workers", columns, rows, palette, flexible=1)


def _cells(said: Mapping[str, Any], palette: Palette) -> Iterator[str | Text]:
    begins = said.get("is_ready") is False
    yield "begins…" if begins else clean_line(str(said.get("where") or "–"))
    for name in ("conversations", "in_flight", "waiting", "done"):
        yield _figure(said.get(name))
    share, heard_s = said.get("share"), said.get("heard_s")
    yield f"{share:.0%}" if isinstance(share, int | float) else "–"
    if begins or not isinstance(heard_s, int | float):
        yield "–"
    else:
        ago = f"{heard_s:.0f} s ago"
        yield Text(f"! {ago}", palette.bad) if heard_s > _SILENT_S else ago
    yield _figure(said.get("restarts"))


def _figure(value: Any) -> str:
    return short(value) if isinstance(value, int | float) else "–"
