"""What holds conversations up or ends them: a pause, a spent budget, a cancellation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio


class Gate:
    """Every conversation passes it before each of its turns."""

    def __init__(self, is_spent: Callable[[], bool] = lambda: False) -> None:
        self._open = anyio.Event()
        self._open.set()
        self._is_spent = is_spent
        self._scopes: dict[int, anyio.CancelScope] = {}

    @property
    def is_spent(self) -> bool:
        """Whether the budget is used up, so that conversations end where they are."""
        return self._is_spent()

    @property
    def is_paused(self) -> bool:
        """Whether conversations wait before their next turn."""
        return not self._open.is_set()

    def pause(self) -> None:
        """Let calls in flight end and be stored, and nothing begin after them."""
        if self._open.is_set():
            self._open = anyio.Event()

    def resume(self) -> None:
        """Let all go on."""
        self._open.set()

    async def passage(self) -> None:
        """Wait as long as there is a pause."""
        await self._open.wait()

    @contextmanager
    def enter(self, trajectory_id: int) -> Iterator[anyio.CancelScope]:
        """The scope in which one conversation is played, so that it can be cancelled alone."""
        with anyio.CancelScope() as scope:
            self._scopes[trajectory_id] = scope
            try:
                yield scope
            finally:
                del self._scopes[trajectory_id]

    def cancel(self, trajectory_id: int) -> bool:
        """Cancel one conversation; whether it was under way."""
        scope = self._scopes.get(trajectory_id)
        if scope is not None:
            scope.cancel()
        return scope is not None
