"""What every pane of the dashboard has in common."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from rich.console import Group, RenderableType
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from simia_tui.background import in_background
from simia_tui.feed import Snapshot
from simia_tui.palette import Palette, palette_of

if TYPE_CHECKING:
    from simia_tui.app import Dashboard


class Pane(Widget):
    """One of the numbered screens. It is drawn from snapshots while it is in sight."""

    DEFAULT_CSS = "Pane { height: 1fr; }"
    TITLE: ClassVar[str]

    snapshot: Snapshot | None = None

    @property
    def board(self) -> "Dashboard":
        """The dashboard, which other panes are reached through."""
        return cast("Dashboard", self.app)

    @property
    def palette(self) -> Palette:
        """Colours of the theme."""
        return palette_of(self.app)

    def receive(self, snapshot: Snapshot) -> None:
        """Draw a newer snapshot."""
        self.snapshot = snapshot
        self.show(snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`."""

    def focus_inside(self) -> None:
        """Put the keyboard where it is needed first."""
        for widget in self._focusable():
            self.screen.set_focus(widget)
            return

    def copied(self) -> str | None:
        """What `y` copies; None where there is nothing."""
        return None

    def exported(self) -> list[int]:
        """Numbers of the trajectories that `E` writes down."""
        return []

    def _focusable(self) -> Iterator[Widget]:
        return (widget for widget in self.walk_children(Widget, with_self=True) if widget.focusable)


class TextPane(Pane):
    """A pane that is one text, which scrolls: read from the run, then drawn."""

    DEFAULT_CSS = """
    TextPane VerticalScroll { padding: 0 1; }
    TextPane Static { height: auto; }
    """

    def compose(self) -> ComposeResult:
        """The text."""
        with VerticalScroll():
            yield Static()

    def show(self, snapshot: Snapshot) -> None:
        """Read what the snapshot does not hold, then draw."""
        in_background(self, partial(self._draw, snapshot), "text")

    async def parts(self, snapshot: Snapshot) -> list[RenderableType]:
        """What is drawn, one below the other. Raises `StoreError`."""
        raise NotImplementedError

    async def _draw(self, snapshot: Snapshot) -> None:
        self.query_one(Static).update(Group(*await self.parts(snapshot)))
