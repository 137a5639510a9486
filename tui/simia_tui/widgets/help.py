"""Help on the keys that work where the keyboard is, made from their bindings."""

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

Keys = list[tuple[str, str]]


class Help(ModalScreen[None]):
    """A window with all keys of the focused widget and of what holds it."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll {
        width: 64; max-width: 95%; height: auto; max-height: 90%; padding: 0 2;
        border: round $primary; background: $surface;
    }
    Help Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "app.pop_screen", "Close", show=False)
    ]

    def __init__(self, title: str, keys: Keys) -> None:
        super().__init__()
        self._title = title
        self._keys = keys

    def compose(self) -> ComposeResult:
        """A table of keys."""
        table = Table.grid(padding=(0, 2))
        for key, what in self._keys:
            table.add_row(Text(key, style="bold"), Text(what))
        with VerticalScroll() as window:
            window.border_title = self._title
            window.border_subtitle = "esc closes"
            yield Static(table)


def keys_of(focused: DOMNode | None, holder: DOMNode) -> Keys:
    """Keys and what they do: of the focused widget first, then of what holds it."""
    nodes = focused.ancestors_with_self if focused is not None else holder.ancestors_with_self
    keys: Keys = []
    seen: set[str] = set()
    for node in nodes:
        for binding in _bindings(node):
            pressed = [key for key in binding.key.split(",") if key not in seen]
            if pressed and binding.description and not binding.system:
                seen.update(pressed)
                keys.append((" ".join(map(_shown, pressed)), binding.description))
    return keys


def _bindings(node: DOMNode) -> Iterable[Binding]:
    kind: Any = type(node)
    for base in kind.__mro__:
        if base.__module__.startswith("textual."):
            return
        for binding in base.__dict__.get("BINDINGS", ()):
            yield binding if isinstance(binding, Binding) else Binding(*binding)


def _shown(key: str) -> str:
    names = {
        "question_mark": "?", "slash": "/", "plus": "+", "minus": "-", "left_square_bracket": "[",
        "right_square_bracket": "]", "down": "↓", "up": "↑", "left": "←", "right": "→",
    }  # fmt: skip
    return names.get(key, key)
