"""2 Rollouts: every conversation of the run, filtered, sorted, marked."""

from typing import Any, ClassVar

from rich.text import Text
from simia_store import Order, TrajectoryStatus
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from simia_tui.feed import Snapshot
from simia_tui.filters import Filter, FilterError, parse_filter
from simia_tui.pane import Pane
from simia_tui.panes import GROUPS
from simia_tui.rollout_columns import COLUMNS, in_words
from simia_tui.rollout_source import RolloutRow, RolloutSource
from simia_tui.text import clean_line
from simia_tui.widgets.keyset_list import KeysetList


class Rollouts(Pane):
    """The list, the filter above it, and a line about the row of the cursor."""

    TITLE = "Rollouts"
    DEFAULT_CSS = """
    Rollouts { layout: vertical; }
    Rollouts #about { text-wrap: nowrap; text-overflow: ellipsis; height: 1; color: $text-muted; }
    Rollouts Input { padding: 0 1; display: none; }
    Rollouts #detail { height: 2; padding: 0 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask_filter", "Filter"),
        Binding("escape", "clear", "Clear the filter", show=False),
        Binding("o", "sort", "Sort"),
        Binding("O", "reverse", "Reverse the order", show=False),
        Binding("n", "next_failed(1)", "Next without a full reward", show=False),
        Binding("N", "next_failed(-1)", "The one before", show=False),
        Binding("c", "compare", "Compare marked", show=False),
        Binding("u", "unmark", "Unmark all", show=False),
        Binding("x", "cancel", "Cancel the rollout", show=False),
        Binding("R", "rejudge", "Judge marked again", show=False),
    ]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._filter_text = ""
        self._filter = Filter()
        self._order: Order = "id"
        self._descending = False
        self._opened = False

    def compose(self) -> ComposeResult:
        """Filter, list, detail."""
        yield Static(id="about")
        yield Input(placeholder='reward<0.5 stop:simulator_error env:retail "refund"', compact=True)
        yield KeysetList[RolloutRow](COLUMNS, id="rollout-list")
        yield Static(id="detail")

    @property
    def listing(self) -> KeysetList[RolloutRow]:
        """The list."""
        return self.query_one(KeysetList)

    def show(self, snapshot: Snapshot) -> None:
        """Read the window anew; the first time, from the end of a live run."""
        if not self._opened:
            self._open(at_end=snapshot.is_live)
        else:
            self.listing.look_again()
        self._tell(snapshot)

    def filter_by(self, text: str) -> bool:
        """Show what `text` means; False if it means nothing."""
        try:
            self._filter = parse_filter(text)
        except FilterError as error:
            self.notify(str(error), severity="error", markup=False)
            return False
        self._filter_text = text.strip()
        self._open(at_end=False)
        return True

    def copied(self) -> str | None:
        """The line, as words."""
        row = self.listing.row
        return None if row is None else in_words(row)

    def exported(self) -> list[int]:
        """The marked rollouts, else the one under the cursor."""
        row = self.listing.row
        return sorted(self.listing.marked) or ([row.id] if row else [])

    def focus_inside(self) -> None:
        """The list has the keyboard."""
        self.screen.set_focus(self.listing)

    async def on_keyset_list_chosen(self, event: KeysetList.Chosen) -> None:
        """Open a conversation."""
        if not isinstance(event, KeysetList.Moved):
            await self.board.open_transcript(event.row.id)

    def on_keyset_list_moved(self, event: KeysetList.Moved) -> None:
        """Say more of the row."""
        self.query_one("#detail", Static).update(
            Text("" if event.row is None else in_words(event.row))
        )

    def action_ask_filter(self) -> None:
        """Let a filter be written."""
        asking = self.query_one(Input)
        asking.display = True
        asking.value = self._filter_text
        self.screen.set_focus(asking)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the filter over, if it means something."""
        event.stop()
        if self.filter_by(event.value):
            self._close_input()

    def action_clear(self) -> None:
        """Close the question, or take the filter away."""
        if self.query_one(Input).has_focus:
            self._close_input()
        elif self._filter_text:
            self.filter_by("")

    def action_sort(self) -> None:
        """By number, or by reward."""
        self._order = "reward" if self._order == "id" else "id"
        self._open(at_end=False)

    def action_reverse(self) -> None:
        """The other way round."""
        self._descending = not self._descending
        self._open(at_end=False)

    def action_next_failed(self, direction: int) -> None:
        """Go to the next row in memory whose reward is not full."""
        self.listing.seek(lambda row: row.record.reward is None or row.record.reward < 1, direction)

    def action_unmark(self) -> None:
        """Mark nothing."""
        self.listing.marked.clear()
        self.listing.refresh()

    async def action_compare(self) -> None:
        """Show the marked ones side by side."""
        if len(self.listing.marked) < 2:
            self.notify("mark at least two with space, then compare")
            return
        from simia_tui.screens.groups import Groups

        pane = await self.board.open(GROUPS)
        assert isinstance(pane, Groups)
        pane.compare(sorted(self.listing.marked))

    def action_rejudge(self) -> None:
        """Have the marked ones judged again, or the one under the cursor."""
        if numbers := self.exported():
            self.board.rejudge(numbers)

    def action_cancel(self) -> None:
        """End the conversation under the cursor."""
        row = self.listing.row
        if row is None or row.record.status != TrajectoryStatus.RUNNING:
            self.notify("only a rollout that is under way can be cancelled")
        else:
            self.board.cancel(row.id)

    def _open(self, *, at_end: bool) -> None:
        self._opened = True
        source = RolloutSource(
            self.board.shelf, self._filter, self._order, descending=self._descending
        )
        self.listing.empty = (
            "nothing matches; esc clears the filter" if self._filter_text else "none"
        )
        self.listing.open(source, at_end=at_end)
        if self.snapshot is not None:
            self._tell(self.snapshot)

    def _tell(self, snapshot: Snapshot) -> None:
        total = sum(outcome.count for outcome in snapshot.outcomes)
        order = f"by {'number' if self._order == 'id' else 'reward'}"
        wanted = f"filter: {clean_line(self._filter_text)}" if self._filter_text else "all"
        arrow = "↓" if self._descending else "↑"
        text = f" {total:,} conversations · {wanted} · {order} {arrow}"
        self.query_one("#about", Static).update(Text(text))

    def _close_input(self) -> None:
        asking = self.query_one(Input)
        asking.display = False
        self.screen.set_focus(self.listing)
