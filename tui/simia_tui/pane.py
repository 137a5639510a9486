"""What every pane of the dashboard has in common."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from textual.widget import Widget

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
