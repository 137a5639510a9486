"""`simia-tui RUN`: watch a run, live or finished."""

import argparse
import sqlite3
import sys
import time
from pathlib import Path
from typing import ClassVar

from simia_store import StoreError
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Header
from textual.worker import get_current_worker

from simia_tui.feed import Feed, Snapshot
from simia_tui.screens.overview import Overview

POLL_HZ = 4


class Dashboard(App[None]):
    """Follows one run. It reads, and never writes."""

    TITLE = "simia-tui"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit")]

    def __init__(self, feed: Feed, path: Path) -> None:
        super().__init__()
        self._feed = feed
        self.sub_title = str(path)

    def compose(self) -> ComposeResult:
        """One screen, so far."""
        yield Header()
        yield Overview()
        yield Footer()

    def on_mount(self) -> None:
        """Follow the run from a thread of its own: reading must not hold the screen up."""
        self.run_worker(self._follow, thread=True)

    def _follow(self) -> None:
        worker = get_current_worker()
        while not worker.is_cancelled:
            try:
                snapshot = self._feed.poll()
            except (StoreError, sqlite3.Error) as error:
                complaint = f"cannot read the run: {error}"
                self.call_from_thread(self.notify, complaint, severity="error", markup=False)
                return
            if snapshot is not None:
                self.call_from_thread(self._draw, snapshot)
            time.sleep(1 / POLL_HZ)

    def _draw(self, snapshot: Snapshot) -> None:
        self.query_one(Overview).show(snapshot)


def main() -> None:
    """Run the dashboard on the database named on the command line."""
    parser = argparse.ArgumentParser(prog="simia-tui", description=__doc__)
    parser.add_argument("run", type=Path, help="database of a run, such as runs/rl.db")
    path: Path = parser.parse_args().run
    try:
        feed = Feed(path)
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    try:
        Dashboard(feed, path).run()
    finally:
        feed.close()
