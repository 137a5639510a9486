"""The dashboard's screens as they should look: a picture of each, and its words beside it.

The picture, an SVG, holds every colour, style and position; it is stored compressed (`.svgz`), and
compared whole. The words (`.txt`) are what a change is told by where they differ, and what a
reviewer reads. With UPDATE_SNAPSHOTS in the environment both are written anew.
"""

import gzip
import os
import re
import tempfile
from difflib import ndiff, unified_diff
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tests.tui_pilot import settled

SNAPSHOTS = Path(__file__).parent / "snapshots" / "tui"
_MOST_LINES = 40


async def compare(pilot: Pilot[Any], name: str) -> None:
    """Compare the screen, once it rests, with the snapshot of that name and of its size."""
    words = await settled(pilot) + "\n"
    picture = _picture(pilot)
    width, height = pilot.app.size
    path = SNAPSHOTS / f"{name}-{width}x{height}.svgz"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        _write(path, picture, words)
    words_before, picture_before = path.with_suffix(".txt").read_text(), _read(path)
    if words == words_before and picture == picture_before:
        return
    seen = Path(tempfile.gettempdir()) / f"{path.stem}.svg"
    seen.write_text(picture)
    told = f"{path.name} (see {seen}; UPDATE_SNAPSHOTS=1 takes it over)"
    assert words == words_before, f"{told}:\n{_different_words(words_before, words)}"
    raise AssertionError(f"{told}: same words, other look:\n{_look(picture_before, picture)}")


def _picture(pilot: Pilot[Any]) -> str:
    """The screen as SVG, without the number that Rich makes of its content."""
    svg = pilot.app.export_screenshot(title="simia-tui", simplify=True)
    return re.sub(r"terminal-\d+", "terminal", svg)


def _read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def _write(path: Path, picture: str, words: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".txt").write_text(words)
    # The same picture is not always compressed to the same bytes.
    if not path.exists() or _read(path) != picture:
        path.write_bytes(gzip.compress(picture.encode(), mtime=0))


def _different_words(before: str, after: str) -> str:
    return "\n".join(ndiff(before.splitlines(), after.splitlines()))


def _look(before: str, after: str) -> str:
    """Lines of the two pictures that differ: colours, texts and where they stand."""
    lines = [re.sub(r"(?=<(?:text|rect) )", "\n", each).splitlines() for each in (before, after)]
    return "\n".join(list(unified_diff(*lines, n=0, lineterm=""))[2 : 2 + _MOST_LINES])
