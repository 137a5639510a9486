"""Where CPU time goes: each thread's own clock around what it works at.

It costs a microsecond a piece, so that every run can be measured.
"""

import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Parts:
    """CPU seconds by part of the work."""

    def __init__(self) -> None:
        self._entries: dict[str, list[float]] = {}

    def timed(self, part: str, work: Callable[P, R]) -> Callable[P, R]:
        """`work`, with its CPU time entered under `part`. It must not wait for anything."""
        entries = self._entries.setdefault(part, [])

        def run(*arguments: P.args, **named: P.kwargs) -> R:
            begun = time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                entries.append(time.thread_time() - begun)

        return run

    def watch(self, part: str, owner: Any, name: str) -> None:
        """The same for what goes by `name` in a module or class, from now on."""
        setattr(owner, name, self.timed(part, getattr(owner, name)))

    def clear(self) -> None:
        """Forget what was entered so far."""
        for entries in self._entries.values():
            entries.clear()

    def sums(self) -> dict[str, float]:
        """Seconds by part."""
        return {part: sum(entries) for part, entries in self._entries.items()}
