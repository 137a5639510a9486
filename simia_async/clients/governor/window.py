"""How many calls may be in flight: additive increase, multiplicative decrease (AIMD)."""

_DECREASE = 0.7
_EPOCHS_TO_FULL = 20
_FIRST = 64
"""Calls in flight before the endpoint has answered anything, and so told of its limits."""


class Window:
    """At most one decrease a latency epoch: only failures of calls sent after the last one count,
    since those sent before it say nothing new.
    """

    def __init__(self, max_in_flight: int, *, limits_known: bool) -> None:
        self.max_in_flight = max_in_flight
        self._size = float(max_in_flight)
        self._decreased_at = float("-inf")
        self._answered = limits_known

    @property
    def size(self) -> float:
        """Calls that may be in flight now."""
        return self._size if self._answered else min(self._size, _FIRST)

    def resize(self, max_in_flight: int) -> None:
        """Change the upper bound."""
        self.max_in_flight = max_in_flight
        self._size = float(max_in_flight)

    def answered(self) -> None:
        """The endpoint has answered: what it tells of its limits is known."""
        self._answered = True

    def succeeded(self, in_flight: int) -> None:
        """Grow, if it is the window that holds calls back."""
        if self._size < self.max_in_flight and in_flight >= self._size / 2:
            step = self.max_in_flight / (_EPOCHS_TO_FULL * self._size)
            self._size = min(float(self.max_in_flight), self._size + step)

    def overloaded(self, sent_at: float, now: float) -> None:
        """Shrink, unless that has been done since this call was sent."""
        if sent_at >= self._decreased_at:
            self._size = max(1.0, self._size * _DECREASE)
            self._decreased_at = now
