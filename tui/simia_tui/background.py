"""Work of a widget that must not hold the screen up."""

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode

Work = Callable[[], Coroutine[Any, Any, None]]


def in_background(node: DOMNode, work: Work, group: str) -> None:
    """Begin `work`; what of its group still goes on is given up."""
    # Textual's types know no coroutine functions that are partly applied.
    untyped: Any = work
    node.run_worker(untyped, group=group, exclusive=True)
