"""Small windows that ask one question."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

_CSS = """
{name} {{ align: center middle; }}
{name} Vertical {{
    width: 60; max-width: 95%; height: auto; padding: 1 2; border: round $primary;
    background: $surface;
}}
{name} Static {{ height: auto; }}
"""


class Confirm(ModalScreen[bool]):
    """Asks before something is done to the run."""

    DEFAULT_CSS = _CSS.format(name="Confirm")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, and which keys answer it."""
        with Vertical():
            yield Static(Text(self._question))
            yield Static(Text("\ny yes · n no", style="bold"))

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class AskNumber(ModalScreen[int | None]):
    """Asks for a number from 1 on."""

    DEFAULT_CSS = _CSS.format(name="AskNumber")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave it")]

    def __init__(self, question: str, proposed: int) -> None:
        super().__init__()
        self._question = question
        self._proposed = proposed

    def compose(self) -> ComposeResult:
        """The question, and a number to be changed."""
        with Vertical():
            yield Static(Text(self._question))
            yield Input(str(self._proposed), type="integer")
            yield Static(Text("enter do it · esc leave it", style="bold"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with the number, if it is one."""
        if event.value.isdecimal() and int(event.value) >= 1:
            self.dismiss(int(event.value))
        else:
            self.notify("expected a number from 1 on", severity="error")

    def action_leave(self) -> None:
        """Close without one."""
        self.dismiss(None)
