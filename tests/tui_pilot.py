"""Driving the dashboard as a person does: keys in, the screen out."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simia_store import Reader, StoreError
from textual.pilot import Pilot


def screen(pilot: Pilot[Any]) -> str:
    """What stands on the screen."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def shown_with(pilot: Pilot[Any], *texts: str) -> str:
    """The screen, once all of `texts` stand on it."""
    for _ in range(400):
        await pilot.pause(0.03)
        if all(text in (shown := screen(pilot)) for text in texts):
            return shown
    raise AssertionError(f"{texts!r} never came up; what did:\n{screen(pilot)}")


async def told(pilot: Pilot[Any], text: str) -> None:
    """Wait until the dashboard has notified of `text`."""
    for _ in range(400):
        if any(text in note.message for note in pilot.app._notifications):
            return
        await pilot.pause(0.03)
    raise AssertionError(f"{text!r}: {[note.message for note in pilot.app._notifications]}")


async def settled(pilot: Pilot[Any]) -> str:
    """The screen, once it has been the same for a while."""
    last, same = "", 0
    while same < 4:
        await pilot.pause(0.06)
        shown = screen(pilot)
        same = same + 1 if shown == last and "reading…" not in shown else 0
        last = shown
    return last


@contextmanager
def owner(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that owns a live run and writes into it; begun when the block begins."""
    script = Path(__file__).with_name("tui_runs.py")
    process = subprocess.Popen([sys.executable, str(script), str(path)])
    try:
        _wait_for_rows(path, process)
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_rows(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with contextlib.suppress(StoreError), Reader(path) as reader:
            if reader.statistics():
                return
        time.sleep(0.05)
    raise AssertionError("the owner ended early")
