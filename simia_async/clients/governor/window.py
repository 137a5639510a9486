"""How many calls may be in flight: additive increase, multiplicative decrease (AIMD)."""

_DECREASE = 0.85
_HALF = 0.5
_ACCELERATION = 0.01


class Window:
    """At most one decrease a latency epoch: only failures of calls sent after the last one count,
    since those sent before it say nothing new, and not before the answers to fewer calls are in.

    It grows by 1% in the first epoch after a decrease, 2% in the second and so on: slowly where it
    was too much before, and fast where that was long ago.
    """

    def __init__(self, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.size = float(max_in_flight)
        """Calls that may be in flight now."""
        self._decreased_at = float("-inf")
        self._epochs = 0.0

    def resize(self, max_in_flight: int) -> None:
        """Change the upper bound."""
        self.max_in_flight = max_in_flight
        self.size = float(max_in_flight)

    def bound(self, max_in_flight: int) -> None:
        """Change the upper bound, 0 included, and keep what was learnt of how many are too many."""
        is_free = self.size >= self.max_in_flight
        self.max_in_flight = max_in_flight
        self.size = float(max_in_flight) if is_free else min(self.size, float(max_in_flight))

    def succeeded(self, in_flight: int) -> None:
        """Grow, if it is the window that holds calls back."""
        if self.size < self.max_in_flight and in_flight >= self.size / 2:
            self._epochs += 1 / self.size
            step = _ACCELERATION * max(1.0, self._epochs)
            self.size = min(float(self.max_in_flight), self.size + step)

    def overloaded(
        self, sent_at: float, now: float, latency_s: float, *, mostly: bool = False
    ) -> None:
        """Shrink, unless that has been done since this call was sent or a latency ago; by half
        if most calls were turned away.
        """
        if sent_at < self._decreased_at or now < self._decreased_at + latency_s:
            return
        # One call at least, or nothing would ever widen the window again.
        fewer = max(1.0, self.size * (_HALF if mostly else _DECREASE))
        self.size = min(fewer, float(self.max_in_flight))
        self._decreased_at = now
        self._epochs = 0.0
