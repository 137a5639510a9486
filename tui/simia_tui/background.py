"""Work of a widget that must not hold the screen up."""

from collections.abc import Callable, Coroutine
from typing import Any

from simia_store import StoreError
from textual.widget import Widget

Work = Callable[[], Coroutine[Any, Any, None]]


def in_background(widget: Widget, work: Work, group: str) -> None:
    """Begin `work`; what of its group still goes on is given up. A run that cannot be read is told
    of.
    """

    async def told() -> None:
        try:
            await work()
        except StoreError as error:
            widget.notify(str(error), severity="error", markup=False)

    # Textual's types know no functions without a result here.
    untyped: Any = told
    widget.run_worker(untyped, group=group, exclusive=True)
