"""3 Transcript: one conversation, turn by turn."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from rich.segment import Segment
from rich.text import Text
from simia_store import TrajectoryStatus
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from simia_tui.background import Work, in_background
from simia_tui.conversation import Conversation, read_conversation
from simia_tui.feed import Snapshot
from simia_tui.palette import palette_of
from simia_tui.pane import Pane
from simia_tui.script import Script, View, outline, write_script
from simia_tui.text import fit
from simia_tui.widgets.pager import Pager

_BRIEF = {"assistant": "asst", "system": "sys"}
"""Roles whose names are too long for the outline."""


class Outline(Widget, can_focus=True):
    """A line a turn; the cursor is on one of them."""

    DEFAULT_CSS = (
        "Outline { width: 28%; max-width: 44; height: 1fr; border-right: solid $panel-lighten-1; }"
    )

    rows: tuple[tuple[str, str], ...] = ()
    """Role and words of each turn, the verdict as the last."""
    cursor = 0

    def render_line(self, y: int) -> Strip:
        """One line on the background of the theme."""
        return self._line_at(y).apply_style(self.rich_style)

    def _line_at(self, y: int) -> Strip:
        """One turn."""
        palette, width = palette_of(self.app), self.size.width
        top = max(0, min(self.cursor - self.size.height // 2, len(self.rows) - self.size.height))
        index = top + y
        if index >= len(self.rows):
            return Strip.blank(width)
        role, words = self.rows[index]
        here = index == self.cursor
        brief = _BRIEF.get(role, role)[:4]
        who = f"{index + 1:>3} {brief:<4} {words}" if words else f"    {role}"
        line = f"{'▶' if here else ' '}{who}"
        strip = Strip([Segment(fit(line, width), palette.role(role))])
        return strip.apply_style(palette.cursor) if here and self.has_focus else strip

    def on_click(self, event: events.Click) -> None:
        """Go to the turn."""
        top = max(0, min(self.cursor - self.size.height // 2, len(self.rows) - self.size.height))
        pane = next(node for node in self.ancestors if isinstance(node, Transcript))
        pane.go_to(top + event.y)


class Transcript(Pane):
    """The outline on the left, the words on the right."""

    TITLE = "Transcript"
    DEFAULT_CSS = """
    Transcript { layout: vertical; }
    Transcript #what { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    Transcript Pager { padding: 0 0 0 1; }
    Transcript Input { padding: 0 1; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "turn(1)", "Next turn", show=False),
        Binding("k,up", "turn(-1)", "Turn before", show=False),
        Binding("g,home", "turn(-100000)", "First turn", show=False),
        Binding("G,end", "turn(100000)", "Verdict", show=False),
        Binding("ctrl+d,pagedown,space", "page(1)", "Page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False),
        Binding("right_square_bracket,l", "other(1)", "Next rollout", show=False),
        Binding("left_square_bracket,h", "other(-1)", "Rollout before", show=False),
        Binding("t", "view('tokens')", "Tokens"),
        Binding("w", "view('raw')", "Raw JSON"),
        Binding("slash", "ask_search", "Search"),
        Binding("n", "search_on(1)", "Next found", show=False),
        Binding("N", "search_on(-1)", "Found before", show=False),
        Binding("x", "cancel", "Cancel the rollout", show=False),
        Binding("R", "rejudge", "Judge again", show=False),
        Binding("escape", "leave", "Back", show=False),
    ]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._number: int | None = None
        self._conversation: Conversation | None = None
        self._script: Script | None = None
        self._view: View = "talk"

    def compose(self) -> ComposeResult:
        """What it is, the outline, the words, and where to search."""
        yield Static(Text("no conversation is open; choose one in 2 Rollouts"), id="what")
        with Horizontal():
            yield Outline()
            yield Pager()
        yield Input(placeholder="words to look for", compact=True)

    def show(self, _: Snapshot) -> None:
        """Read a conversation again that goes on; the first one if none is open."""
        if self._number is None:
            self._read(self._first)
        elif self._goes_on:
            self._read(partial(self._load, self._number, anew=False))

    def open_conversation(self, number: int) -> None:
        """Show another conversation."""
        self._number = number
        self._read(partial(self._load, number, anew=True))

    def go_to(self, turn: int) -> None:
        """Put the cursor on a turn, and it on top."""
        if self._script is None:
            return
        outline_ = self.query_one(Outline)
        outline_.cursor = max(0, min(turn, len(self._script.starts) - 1))
        outline_.refresh()
        self.query_one(Pager).go(self._script.starts[outline_.cursor])

    def copied(self) -> str | None:
        """The turn under the cursor."""
        if self._script is None:
            return None
        starts, cursor = self._script.starts, self.query_one(Outline).cursor
        end = starts[cursor + 1] if cursor + 1 < len(starts) else None
        return "\n".join(strip.text.rstrip() for strip in self._script.lines[starts[cursor] : end])

    def exported(self) -> list[int]:
        """The conversation."""
        return [] if self._number is None else [self._number]

    def focus_inside(self) -> None:
        """The outline has the keyboard."""
        self.screen.set_focus(self.query_one(Outline))

    def on_resize(self) -> None:
        """Wrap the words anew."""
        self._write(keep_place=True)

    def action_turn(self, turns: int) -> None:
        """Move over turns."""
        self.go_to(self.query_one(Outline).cursor + turns)

    def action_page(self, pages: int) -> None:
        """Scroll the words; the outline goes with them."""
        pager = self.query_one(Pager)
        pager.go(pager.scroll_offset.y + pages * max(1, pager.size.height - 2))
        self.call_after_refresh(self._follow_pager)

    def action_other(self, direction: int) -> None:
        """The conversation after or before this one."""
        self._read(partial(self._neighbour, direction))

    def action_view(self, view: View) -> None:
        """Show tokens or raw JSON, or the talk again."""
        self._view = "talk" if self._view == view else view
        self._write(keep_place=False)

    def action_ask_search(self) -> None:
        """Let words be written."""
        asking = self.query_one(Input)
        asking.display = True
        self.screen.set_focus(asking)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search."""
        event.stop()
        self._close_input()
        if not self.query_one(Pager).search(event.value):
            self.notify("not found")

    def action_search_on(self, direction: int) -> None:
        """Search on."""
        if not self.query_one(Pager).search_on(direction):
            self.notify("nothing is looked for; / begins")

    def action_rejudge(self) -> None:
        """Have the conversation judged again."""
        if self._number is not None:
            self.board.rejudge([self._number])

    def action_cancel(self) -> None:
        """End this conversation."""
        if self._number is None or not self._goes_on:
            self.notify("only a rollout that is under way can be cancelled")
        else:
            self.board.cancel(self._number)

    async def action_leave(self) -> None:
        """Close the search, or go back to the list."""
        from simia_tui.panes import ROLLOUTS

        if self.query_one(Input).has_focus:
            self._close_input()
        else:
            await self.board.open(ROLLOUTS)

    @property
    def _goes_on(self) -> bool:
        conversation = self._conversation
        return (
            conversation is not None and conversation.trajectory.status == TrajectoryStatus.RUNNING
        )

    def _read(self, question: Work) -> None:
        in_background(self, question, "conversation")

    async def _first(self) -> None:
        page = await self.board.shelf.ask(lambda browser: browser.matching(1))
        if page.rows:
            self._number = page.rows[0].id
            await self._load(self._number, anew=True)

    async def _neighbour(self, direction: int) -> None:
        if self._conversation is None:
            return
        here = self._conversation.trajectory
        page = await self.board.shelf.ask(
            lambda browser: browser.matching(1, after=here, descending=direction < 0)
        )
        if page.rows:
            self._number = page.rows[0].id
            await self._load(self._number, anew=True)
        else:
            self.notify("there is no other")

    async def _load(self, number: int, *, anew: bool) -> None:
        read = await self.board.shelf.ask(partial(read_conversation, number=number))
        if read is None:
            self.notify(f"there is no conversation {number}")
            return
        self._conversation = read
        if anew:
            self.query_one(Outline).cursor = 0
        self._write(keep_place=not anew)

    def _write(self, *, keep_place: bool) -> None:
        conversation = self._conversation
        if conversation is None:
            return
        pager, outline_ = self.query_one(Pager), self.query_one(Outline)
        self._script = write_script(
            conversation, self._view, pager.scrollable_content_region.width, self.palette
        )
        pager.show(self._script.lines, keep_place=keep_place)
        outline_.rows = (
            *((turn.role, outline(turn)) for turn in conversation.turns), ("verdict", ""),
        )  # fmt: skip
        outline_.refresh()
        self.query_one("#what", Static).update(Text(" · ".join(self._what(conversation))))
        if not keep_place:
            self.call_after_refresh(self.go_to, outline_.cursor)

    def _what(self, conversation: Conversation) -> Iterator[str]:
        trajectory = conversation.trajectory
        yield f"rollout {trajectory.id}"
        if self._view != "talk":
            yield {"tokens": "TOKENS", "raw": "RAW JSON"}[self._view]
        yield str(trajectory.status)
        yield "no reward" if trajectory.reward is None else f"reward {trajectory.reward:g}"
        if trajectory.group_id is not None:
            yield f"group {trajectory.group_id}"
        if trajectory.policy_version is not None:
            yield f"policy {trajectory.policy_version}"
        yield fit(trajectory.task_id, 40).rstrip()

    def _follow_pager(self) -> None:
        if self._script is None:
            return
        y = self.query_one(Pager).scroll_offset.y
        outline_ = self.query_one(Outline)
        outline_.cursor = max(i for i, start in enumerate(self._script.starts) if start <= y)
        outline_.refresh()

    def _close_input(self) -> None:
        self.query_one(Input).display = False
        self.screen.set_focus(self.query_one(Outline))
