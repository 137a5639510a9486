"""4 Groups: the rollouts of one task side by side, and where they part."""

from functools import partial
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from simia_store import GroupRecord
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from simia_tui.background import in_background
from simia_tui.comparing import Comparison, compare_group, compare_rollouts
from simia_tui.feed import Snapshot
from simia_tui.palette import Palette
from simia_tui.pane import Pane
from simia_tui.shelf import Shelf
from simia_tui.text import clean_line
from simia_tui.widgets.keyset_list import KeysetList
from simia_tui.widgets.lanes import Lanes
from simia_tui.widgets.rows import Column, Rows


class GroupSource:
    """Groups by their numbers."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def page(
        self, limit: int, after: GroupRecord | None, *, backwards: bool
    ) -> Rows[GroupRecord]:
        """The next groups, or those before."""
        page = await self._shelf.ask(
            lambda browser: browser.group_page(limit, after=after, descending=backwards)
        )
        return Rows(page.rows, page.more)

    async def count_after(self, row: GroupRecord, limit: int) -> int:
        """How many come after one."""
        page = await self._shelf.ask(lambda browser: browser.group_page(limit - 1, after=row))
        return len(page.rows) + page.more


class Groups(Pane):
    """The list above, the rollouts of the group under its cursor below."""

    TITLE = "Groups"
    DEFAULT_CSS = """
    Groups { layout: vertical; }
    Groups #group-list { height: 35%; min-height: 6; }
    Groups #group-what {
        height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "swap", "List or rollouts"),
        Binding("n", "uneven(1)", "Next group that teaches", show=False),
        Binding("N", "uneven(-1)", "The one before", show=False),
        Binding("escape", "swap", "List or rollouts", show=False),
    ]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._opened = False
        self._chosen: list[int] = []

    def compose(self) -> ComposeResult:
        """List, what is compared, rollouts."""
        yield KeysetList[GroupRecord](_COLUMNS, id="group-list")
        yield Static(id="group-what")
        yield Lanes()

    @property
    def listing(self) -> KeysetList[GroupRecord]:
        """The list of groups."""
        return self.query_one(KeysetList)

    def show(self, snapshot: Snapshot) -> None:
        """Read the window anew; the first time, from the end of a live run."""
        if self._opened:
            self.listing.look_again()
            return
        self._opened = True
        self.listing.empty = "this run plays no groups; mark rollouts in 2 and press c"
        self.listing.open(GroupSource(self.board.shelf), at_end=snapshot.is_live)

    def compare(self, numbers: list[int]) -> None:
        """Show these rollouts, whatever group they are of."""
        self._chosen = numbers
        self._read(partial(compare_rollouts, numbers=numbers), f"{len(numbers)} marked rollouts")
        self.screen.set_focus(self.query_one(Lanes))

    def copied(self) -> str | None:
        """What the line between the two says."""
        return str(self.query_one("#group-what", Static).content)

    def exported(self) -> list[int]:
        """The rollouts that are compared."""
        comparison = self.query_one(Lanes).comparison
        return [lane.trajectory.id for lane in comparison.lanes] if comparison else []

    def focus_inside(self) -> None:
        """The list has the keyboard."""
        self.screen.set_focus(self.listing)

    def on_keyset_list_moved(self, event: KeysetList.Moved) -> None:
        """Show the rollouts of the group."""
        group = event.row
        if group is not None and not self._chosen:
            question = partial(compare_group, group_id=group.id)
            self._read(question, _name(group), f" · {_rewards(group)} · {group.task_id}")
        self._chosen = []

    def on_keyset_list_chosen(self, event: KeysetList.Chosen) -> None:
        """Go over to its rollouts."""
        if not isinstance(event, KeysetList.Moved):
            self.screen.set_focus(self.query_one(Lanes))

    async def on_lanes_chosen(self, event: Lanes.Chosen) -> None:
        """Open a rollout."""
        await self.board.open_transcript(event.number)

    def action_swap(self) -> None:
        """Go over to the other half."""
        other = self.listing if self.query_one(Lanes).has_focus else self.query_one(Lanes)
        self.screen.set_focus(other)

    def action_uneven(self, direction: int) -> None:
        """Go to the next group whose rewards differ."""
        self.listing.seek(lambda group: spread(group) > 0, direction)

    def _read(self, question: "partial[Comparison]", what: str, more: str = "") -> None:
        in_background(self, partial(self._compare, question, what, more), "comparison")

    async def _compare(self, question: "partial[Comparison]", what: str, more: str) -> None:
        comparison = await self.board.shelf.ask(question)
        parts = comparison.parts_at
        where = "never part" if parts is None else f"part at turn {parts + 1} (≠)"
        text = clean_line(f"{what} · they {where}{more}")
        self.query_one("#group-what", Static).update(Text(text))
        self.query_one(Lanes).show(comparison)


def spread(group: GroupRecord) -> float:
    """How far its rewards lie apart; 0 where they teach nothing."""
    known = [reward for reward in group.rewards if reward is not None]
    return max(known) - min(known) if known else 0.0


def _name(group: GroupRecord) -> str:
    flat = bool(group.rewards) and not spread(group)
    return f"group {group.id}{' · ZERO VARIANCE: teaches nothing' if flat else ''}"


def _rewards(group: GroupRecord) -> str:
    rewards = " ".join("–" if r is None else f"{r:.2f}" for r in group.rewards)
    return f"rewards {rewards or 'not yet'}"


def _version(group: GroupRecord, palette: Palette) -> tuple[str, Style]:
    return str(group.policy_version), palette.text


def _mean(group: GroupRecord, palette: Palette) -> tuple[str, Style]:
    known = [reward for reward in group.rewards if reward is not None]
    mean = sum(known) / len(known) if known else None
    return "–" if mean is None else f"{mean:.2f}", palette.reward(mean)


def _spread(group: GroupRecord, palette: Palette) -> tuple[str, Style]:
    if not group.rewards:
        return "not yet", palette.dim
    return ("differ", palette.good) if spread(group) else ("all equal", palette.warn)


def _bars(group: GroupRecord, palette: Palette) -> tuple[str, Style]:
    bars = "▁▂▃▄▅▆▇█"
    return "".join(
        "·" if reward is None else bars[round(max(0.0, min(1.0, reward)) * 7)]
        for reward in group.rewards
    ), palette.text


_COLUMNS: list[Column[GroupRecord]] = [
    Column("group", 7, lambda group, palette: (str(group.id), palette.dim), right=True),
    Column("step", 5, lambda group, palette: (str(group.step), palette.text), right=True),
    Column("version", 7, _version, right=True, from_width=100),
    Column("mean", 5, _mean, right=True),
    Column("rewards", 9, _spread),
    Column("each", 16, _bars),
    Column("task", 0, lambda group, palette: (group.task_id, palette.text)),
]
