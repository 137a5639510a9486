"""Keys that are typed faster than the screen follows."""

from collections import deque
from functools import partial
from time import monotonic
from typing import TypeVar

from textual import events
from textual.app import App
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

R = TypeVar("R")

_LOOK_EVERY_S = 0.5
_LONGEST_S = 20.0
"""A key is not waited for longer, whatever has become of it."""


class KeyDone(Message, namespace="keys"):
    """Follows a key on its way through the widgets: where it arrives, the key has been handled.

    In the second lap it follows what the widget tells others, such as that a field is full.
    """

    def __init__(self, number: int, *, is_last_lap: bool = False) -> None:
        super().__init__()
        self.number = number
        self.is_last_lap = is_last_lap


class KeysInOrder(App[R]):
    """An app that looks at a key when the one before has done its work.

    Textual hands each to the widget that has the keyboard when it arrives. What is typed right
    after a key that moves the keyboard elsewhere, such as into a field, would go to the old place
    and be taken for commands.
    """

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Key] = deque()
        self._looked_at = 0
        """Number of the key that was looked at last."""
        self._holder: Widget | None = None
        """The widget that had the keyboard then."""
        self._guard: Timer | None = None
        """Set while that one is not done."""

    async def on_event(self, event: events.Event) -> None:
        """Keys wait for their turn; everything else is as ever."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed.append(event)
            await self._go_on()
        else:
            await super().on_event(event)

    async def on_keys_key_done(self, done: KeyDone) -> None:
        """The next key may come, after the second lap."""
        again = KeyDone(done.number, is_last_lap=True)
        if done.is_last_lap or self._holder is None or not self._holder.post_message(again):
            await self._release(done.number)

    async def _go_on(self) -> None:
        while self._typed and self._guard is None:
            key = self._typed.popleft()
            self._looked_at += 1
            self._holder = holder = self.focused or self.screen
            watch = partial(self._watch, holder, self._looked_at, monotonic())
            self._guard = self.set_interval(_LOOK_EVERY_S, watch)
            await super().on_event(key)
            if not holder.post_message(KeyDone(self._looked_at)):
                self._stop_guard()

    async def _watch(self, holder: Widget, number: int, since: float) -> None:
        """A widget may go with a key that it was given."""
        if not holder.is_attached or monotonic() - since > _LONGEST_S:
            await self._release(number)

    async def _release(self, number: int) -> None:
        if number == self._looked_at and self._guard is not None:
            self._stop_guard()
            await self._go_on()

    def _stop_guard(self) -> None:
        if self._guard is not None:
            self._guard.stop()
        self._guard = None
