"""The list of runs in a directory: one is chosen, others may be marked to be compared with it."""

import time
from pathlib import Path
from typing import ClassVar

import msgspec
from rich.style import Style
from rich.text import Text
from simia_store import Reader, Standing, StoreError, standing
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Static

from simia_tui.palette import HIGH_CONTRAST, Palette
from simia_tui.starting import collect_garbage_from_now_on
from simia_tui.text import clean_line
from simia_tui.widgets.few_rows import FewRows
from simia_tui.widgets.keyset_list import KeysetList
from simia_tui.widgets.rows import Column
from simia_tui.widgets.status_bar import MARKS, span

_LOOK_EVERY_S = 2.0


class RunRow(msgspec.Struct, frozen=True):
    """One database."""

    id: int
    path: Path
    name: str
    """Relative to the directory."""
    kind: str
    standing: Standing | None
    """None where it cannot be read."""
    conversations: int
    started_at: float
    note: str


def find_runs(directory: Path, numbers: dict[Path, int]) -> list[RunRow]:
    """The databases below a directory, the run that began last first. What is no run, or cannot be
    read, says so. `numbers` keeps the number that each got when it was seen first.
    """
    paths = sorted(directory.rglob("*.db"))
    rows = [_look(numbers.setdefault(path, len(numbers)), path, directory) for path in paths]
    return sorted(rows, key=lambda row: -row.started_at)


def _look(number: int, path: Path, directory: Path) -> RunRow:
    name = str(path.relative_to(directory))
    try:
        with Reader(path) as reader:
            run = reader.run()
            return RunRow(
                number, path, name, run.kind if run else "–", standing(run, reader.sessions()),
                sum(outcome.count for outcome in reader.outcomes()),
                run.started_at if run else 0.0, (run.reason or "") if run else "",
            )  # fmt: skip
    except StoreError as error:
        return RunRow(number, path, name, "–", None, 0, 0.0, str(error))


class Picker(App[list[Path]]):
    """Returns the chosen run, and those to compare with."""

    TITLE = "simia-tui"
    CSS = "#place { height: 1; background: $panel; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help"),
        Binding("y", "copy", "Copy the path", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self._runs: list[RunRow] = []
        self._numbers: dict[Path, int] = {}
        self.register_theme(HIGH_CONTRAST)

    def compose(self) -> ComposeResult:
        """Where, the list, keys."""
        place = f" runs in {clean_line(str(self.directory))} · space marks, to compare"
        yield Static(Text(place), id="place")
        yield KeysetList[RunRow](_COLUMNS)
        yield Footer()

    def on_mount(self) -> None:
        """Look now, and again and again."""
        self.query_one(KeysetList).empty = f"no run in {self.directory}"
        self.screen.set_focus(self.query_one(KeysetList))
        self._look()
        self.set_interval(_LOOK_EVERY_S, self._look)
        self.call_after_refresh(collect_garbage_from_now_on)

    def on_keyset_list_chosen(self, event: KeysetList.Chosen) -> None:
        """Watch it, with the marked ones beside it."""
        if isinstance(event, KeysetList.Moved):
            return
        if event.row.standing is None:
            self.notify(event.row.note, severity="error", markup=False)
            return
        marked = self.query_one(KeysetList).marked - {event.row.id}
        others = [row.path for row in self._runs if row.id in marked and row.standing is not None]
        self.exit([event.row.path, *others])

    def action_copy(self) -> None:
        """Copy the path under the cursor."""
        row = self.query_one(KeysetList).row
        if row is not None:
            self.copy_to_clipboard(str(row.path))
            self.notify("copied")

    def action_help(self) -> None:
        """Tell the keys."""
        from simia_tui.widgets.help import Help, keys_of

        self.push_screen(Help("Runs", keys_of(self.focused, self.screen)))

    def _look(self) -> None:
        self.run_worker(self._find, thread=True, exclusive=True)

    def _find(self) -> None:
        found = find_runs(self.directory, self._numbers)
        if self.is_running:
            self.call_from_thread(self._show, found)

    def _show(self, found: list[RunRow]) -> None:
        self._runs = found
        self.query_one(KeysetList).replace(FewRows(found))


def _standing(row: RunRow, palette: Palette) -> tuple[str, Style]:
    if row.standing is None:
        return "✗ unreadable", palette.bad
    bad = row.standing in (Standing.FAILED, Standing.CUT_OFF)
    fine = palette.good if row.standing == Standing.RUNNING else palette.text
    return f"{MARKS[row.standing]} {row.standing}", palette.bad if bad else fine


def _age(row: RunRow, palette: Palette) -> tuple[str, Style]:
    return (span(time.time() - row.started_at) + " ago" if row.started_at else "–"), palette.dim


def _conversations(row: RunRow, palette: Palette) -> tuple[str, Style]:
    return f"{row.conversations:,}", palette.text


def _note(row: RunRow, palette: Palette) -> tuple[str, Style]:
    return row.note, palette.dim


_COLUMNS: list[Column[RunRow]] = [
    Column("run", 28, lambda row, palette: (row.name, palette.text)),
    Column("kind", 8, lambda row, palette: (row.kind, palette.text)),
    Column("how it stands", 13, _standing),
    Column("conversations", 13, _conversations, right=True),
    Column("begun", 15, _age, right=True, from_width=90),
    Column("note", 0, _note, from_width=90),
]
