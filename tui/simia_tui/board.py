"""The panes of one run, and what feeds them."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simia_store import StoreError
from textual.app import ComposeResult
from textual.widgets import ContentSwitcher, Footer

from simia_tui.feed import Feed, Points, Snapshot
from simia_tui.keys_in_order import KeysInOrder
from simia_tui.palette import HIGH_CONTRAST
from simia_tui.pane import Pane
from simia_tui.panes import OVERVIEW, PANES, ROLLOUTS, TRANSCRIPT
from simia_tui.shelf import Shelf
from simia_tui.starting import FirstLook, collect_garbage_from_now_on
from simia_tui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from simia_tui.steering import Asker

POLL_S = 0.25
"""How often the run is looked at."""


class Board(KeysInOrder[str | None]):
    """Follows one run: status above, one of the panes below."""

    TITLE = "simia-tui"
    CSS = "ContentSwitcher { height: 1fr; } * { scrollbar-size-vertical: 1; }"

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        others: Iterable[Path] = (),
        pick: bool = False,
        ask: "Asker | None" = None,
        first: FirstLook | None = None,
    ) -> None:
        """`ask` asks something of the run where `path` is only a copy of it. `first` is what was
        read of the run already.
        """
        super().__init__()
        self.path = path
        self.readonly = readonly
        self.shelf = Shelf(path)
        self.snapshot: Snapshot | None = None
        self.others: dict[str, dict[str, Points]] = {}
        """Metrics of runs to compare with, by the run's name."""
        self._others = tuple(others)
        self._pick = pick
        self._ask = ask
        self._first = first
        self._pane = OVERVIEW
        self._frozen = False
        self._asked: dict[int, str] = {}
        """What is said of commands that have no last answer yet, by a number of ours."""
        self._commands = count(1)
        self._over = threading.Event()
        self._opening = asyncio.Lock()
        self.register_theme(HIGH_CONTRAST)

    def compose(self) -> ComposeResult:
        """Status, the open pane, keys."""
        yield StatusBar([(entry.name, entry.short) for entry in PANES])
        with ContentSwitcher(initial="overview"):
            yield PANES[0].load()
        yield Footer()

    def on_mount(self) -> None:
        """Follow the run from a thread of its own: reading must not hold the screen up."""
        if self._first is not None and self._first.snapshot is not None:
            self._draw(self._first.snapshot)
        self.run_worker(self._follow, thread=True, name="feed", exit_on_error=False)
        self.pane.focus_inside()
        self.call_after_refresh(collect_garbage_from_now_on)

    def on_unmount(self) -> None:
        """Let go of the run."""
        self._over.set()
        self.shelf.close()

    @property
    def pane(self) -> Pane:
        """The one that is open."""
        return self.query_one(f"#{PANES[self._pane - 1].name.lower()}", Pane)

    async def open(self, number: int) -> Pane:
        """Open a pane by its number."""
        name = PANES[number - 1].name.lower()
        switcher = self.query_one(ContentSwitcher)
        # A second key may come while the first pane is still being made.
        async with self._opening:
            if not self.query(f"#{name}"):
                await switcher.add_content(PANES[number - 1].load())
            switcher.current = name
            self._pane = number
            pane = self.pane
            if self.snapshot is not None:
                pane.receive(self.snapshot)
            self._draw_status()
            pane.focus_inside()
        return pane

    async def open_rollouts(self, filter_text: str) -> None:
        """Show the rollouts that a filter means."""
        pane: Any = await self.open(ROLLOUTS)
        pane.filter_by(filter_text)

    async def open_transcript(self, number: int) -> None:
        """Show one conversation."""
        pane: Any = await self.open(TRANSCRIPT)
        pane.open_conversation(number)

    async def on_status_bar_picked(self, event: StatusBar.Picked) -> None:
        """Open what was clicked on."""
        await self.open(event.number)

    def _follow(self) -> None:
        """Poll the run until the dashboard ends."""
        try:
            feed = self._first.feed() if self._first else Feed(self.path)
        except StoreError as error:
            self._complain(error)
            return
        others_wanted = bool(self._others)
        try:
            # What was still being read when the screen was made is no news to the feed.
            read = self._first.snapshot if self._first and self.snapshot is None else None
            if read is not None:
                self.call_from_thread(self._draw, read)
            while not self._over.is_set():
                snapshot = feed.poll()
                if snapshot is not None:
                    self.call_from_thread(self._draw, snapshot)
                if others_wanted:
                    others_wanted = False
                    self.others = {str(path): _metrics_of(path) for path in self._others}
                    self.call_from_thread(self._redraw)
                self._over.wait(POLL_S)
        except (StoreError, sqlite3.Error) as error:
            self._complain(error)
        except RuntimeError:
            if not self._over.is_set():
                raise  # else: the app ended between the look and the call
        finally:
            feed.close()

    def warn(self, text: str) -> None:
        """Show a warning, from whatever thread."""
        if self.is_running and not self._over.is_set():
            self.call_from_thread(self.notify, text, severity="warning", markup=False)

    def _complain(self, error: Exception) -> None:
        complaint = f"cannot read the run: {error}"
        self.call_from_thread(self.notify, complaint, severity="error", markup=False)

    def _draw(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._draw_status()
        if not self._frozen:
            self.pane.receive(snapshot)

    def _redraw(self) -> None:
        if self.snapshot is not None:
            self.pane.receive(self.snapshot)

    def _draw_status(self) -> None:
        notes = [*self._asked.values(), *(["view frozen"] if self._frozen else [])]
        if self.readonly:
            notes.append("read-only")
        self.query_one(StatusBar).show(self.snapshot, self._pane, " · ".join(notes))


def _metrics_of(path: Path) -> dict[str, Points]:
    """The metrics of a run to compare with. Raises `StoreError`."""
    feed = Feed(path)
    try:
        snapshot = feed.poll()
        return snapshot.series if snapshot else {}
    finally:
        feed.close()
