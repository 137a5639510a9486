"""The dashboard of one run: its panes, what feeds them, and the controls."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from simia_store import CANCEL, CONCURRENCY, PAUSE, RESUME, STOP, StoreError
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Footer

from simia_tui.feed import Feed, Points, Snapshot
from simia_tui.palette import HIGH_CONTRAST
from simia_tui.pane import Pane
from simia_tui.panes import OVERVIEW, PANES, ROLLOUTS, TRANSCRIPT
from simia_tui.shelf import Shelf
from simia_tui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from simia_tui.steering import Asker

POLL_S = 0.25
"""How often the run is looked at."""
_STEP = 1.25
"""How many times as many conversations `+` proposes."""


class Dashboard(App[str | None]):
    """Follows one run. What it asks of the run goes through the table `commands`.

    Returns "runs" where somebody wants to choose another run, else None.
    """

    TITLE = "simia-tui"
    CSS = "ContentSwitcher { height: 1fr; } * { scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"open_pane({number})", entry.name, show=False)
            for number, entry in enumerate(PANES, 1)
        ),
        Binding("question_mark", "help", "Help"),
        Binding("P", "pause", "Pause or resume the run", show=False),
        Binding("plus", "concurrency(1)", "More conversations at once", show=False),
        Binding("minus", "concurrency(-1)", "Fewer conversations at once", show=False),
        Binding("S", "stop", "Stop the run", show=False),
        Binding("p", "freeze", "Freeze the view, or go on", show=False),
        Binding("y", "copy", "Copy", show=False),
        Binding("E", "export", "Export as JSONL, a pane of figures as SVG", show=False),
        Binding("ctrl+e", "picture", "Save the screen as SVG", show=False),
        Binding("r", "runs", "Other runs", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        others: Iterable[Path] = (),
        pick: bool = False,
        ask: "Asker | None" = None,
    ) -> None:
        """`ask` asks something of the run where `path` is only a copy of it."""
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
        self._pane = OVERVIEW
        self._frozen = False
        self._asked = ""
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
        self.run_worker(self._follow, thread=True, name="feed", exit_on_error=False)
        self.pane.focus_inside()

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

    async def action_open_pane(self, number: int) -> None:
        """Open a pane."""
        await self.open(number)

    def action_help(self) -> None:
        """Tell the keys."""
        from simia_tui.widgets.help import Help, keys_of

        self.push_screen(Help(PANES[self._pane - 1].name, keys_of(self.focused, self.pane)))

    def action_freeze(self) -> None:
        """Stop drawing what is new, or go on."""
        self._frozen = not self._frozen
        self._draw_status()
        if not self._frozen and self.snapshot is not None:
            self.pane.receive(self.snapshot)

    def action_runs(self) -> None:
        """Back to the list of runs, where there is one."""
        if self._pick:
            self.exit("runs")
        else:
            self.notify("start simia-tui with a directory to choose among its runs")

    def action_copy(self) -> None:
        """Copy what the pane's cursor is on."""
        from simia_tui.text import clean

        text = self.pane.copied()
        if text is None:
            self.notify("nothing here to copy")
        else:
            self.copy_to_clipboard(clean(text, 1_000_000))
            self.notify("copied")

    async def action_export(self) -> None:
        """Write the marked conversations, or the one under the cursor, or a picture."""
        from simia_tui import exporting

        numbers = self.pane.exported()
        if not numbers:
            self.action_picture()
            return
        try:
            path = await self.shelf.ask(
                lambda browser: exporting.write_lines(
                    self.path, exporting.conversations(browser, numbers)
                )
            )
        except (OSError, StoreError) as error:
            self.notify(f"not exported: {error}", severity="error", markup=False)
        else:
            self.notify(f"{len(numbers)} conversations → {path}", markup=False)

    def action_picture(self) -> None:
        """Write the screen as it is."""
        from simia_tui import exporting

        try:
            svg = self.export_screenshot(title=f"simia-tui {self.path}")
            path = exporting.write_picture(self.path, PANES[self._pane - 1].name.lower(), svg)
        except OSError as error:
            self.notify(f"not written: {error}", severity="error", markup=False)
        else:
            self.notify(f"screen → {path}", markup=False)

    def action_pause(self) -> None:
        """Hold the run, or let it go on."""
        if self.snapshot is not None and self.snapshot.is_paused:
            self.steer(RESUME, "Let the run go on?")
        else:
            self.steer(PAUSE, "Pause the run? Calls in flight end and are stored.")

    def action_stop(self) -> None:
        """End the run."""
        self.steer(STOP, "Stop the run? What is committed stays; it can be resumed later.")

    def action_concurrency(self, direction: int) -> None:
        """Have more or fewer conversations at once."""
        from simia_tui.widgets.asking import AskNumber

        if self._refused():
            return
        said = self.snapshot.statistics.get("scheduler", {}) if self.snapshot else {}
        present = int(said.get("concurrency") or 64)
        proposed = present * _STEP if direction > 0 else present / _STEP
        self.push_screen(
            AskNumber(
                f"Conversations at once, at most? Now: {present}.",
                max(1, round(proposed), present + 1 if direction > 0 else 1),
            ),
            lambda number: self._send(CONCURRENCY, conversations=number) if number else None,
        )

    def cancel(self, number: int) -> None:
        """End one conversation."""
        self.steer(
            CANCEL, f"Cancel rollout {number}? It gets no reward and is not played again.",
            trajectory=number,
        )  # fmt: skip

    def steer(self, name: str, question: str, **arguments: Any) -> None:
        """Ask the user, then the run."""
        from simia_tui.widgets.asking import Confirm

        if not self._refused():
            self.push_screen(
                Confirm(question), lambda yes: self._send(name, **arguments) if yes else None
            )

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: panes, controls of the run, and what Textual has."""
        for number, entry in enumerate(PANES, 1):
            yield SystemCommand(entry.name, f"Open pane {number}", self._opener(number))
        yield SystemCommand("Pause or resume", "Hold every conversation", self.action_pause)
        yield SystemCommand(
            "Concurrency", "Conversations at once", lambda: self.action_concurrency(1)
        )
        yield SystemCommand("Stop the run", "End it politely", self.action_stop)
        yield SystemCommand("Save as SVG", "The screen as a picture", self.action_picture)
        for command in super().get_system_commands(screen):
            if command.title in ("Theme", "Quit"):
                yield command

    def _opener(self, number: int) -> Callable[[], Any]:
        return lambda: self.call_later(self.open, number)

    def _refused(self) -> bool:
        """Whether nothing can be asked of the run; says why."""
        from simia_tui.steering import obstacle

        reason = obstacle(self.snapshot, readonly=self.readonly)
        if reason:
            self.notify(reason, severity="warning", markup=False)
        return reason is not None

    def _send(self, name: str, **arguments: Any) -> None:
        from simia_tui import steering

        def send() -> None:
            try:
                ask = self._ask or partial(steering.ask, self.path)
                answer = ask(name, arguments)
            except StoreError as error:
                answer = steering.Answer(f"{name}: {error}", is_good=False)
            if not self._over.is_set():
                self.call_from_thread(self._answered, answer)

        self._asked = f"{name}: waiting for the run's answer…"
        self._draw_status()
        self.run_worker(send, thread=True, group="steering")

    def _answered(self, answer: Any) -> None:
        self._asked = ""
        self._draw_status()
        if answer.is_good:
            self.notify(answer.text, markup=False)
        else:
            self.notify(answer.text, severity="warning", markup=False)

    def _follow(self) -> None:
        """Poll the run until the dashboard ends."""
        try:
            feed = Feed(self.path)
        except StoreError as error:
            self._complain(error)
            return
        others_wanted = bool(self._others)
        try:
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
        notes = [note for note in (self._asked, "view frozen" if self._frozen else "") if note]
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


def main() -> None:
    """Run the dashboard on what the command line names."""
    from simia_tui.cli import run

    run()
