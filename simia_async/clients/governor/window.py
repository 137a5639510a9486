"""How many calls may be in flight: additive increase, multiplicative decrease (AIMD)."""

_FIRST = 16
_TRIAL = 0.7
_DECREASE = 0.9
_ACCELERATION = 0.01


class Window:
    """Shrinks on trial when calls are turned away, and stays smaller if that helps.

    So there is at most one decrease a latency epoch: a trial ends with the answers to calls that
    were sent in it. Growth is by 1% in the first epoch after a decrease, 2% in the second and so
    on: slow where it was too much before, and fast where that was long ago.
    """

    def __init__(self, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.size = float(max_in_flight)
        """Calls that may be in flight now."""
        self._before_trials = self._before_trial = self.size
        self._doubles = False
        self._epochs = 0.0

    def start_slowly(self) -> None:
        """The endpoint does not tell its limits: few calls first, then twice as many each epoch."""
        self.size = min(self.size, float(_FIRST))
        self._doubles = True

    def resize(self, max_in_flight: int) -> None:
        """Change the upper bound."""
        self.max_in_flight = max_in_flight
        self.size = self._before_trials = self._before_trial = float(max_in_flight)

    def succeeded(self, in_flight: int) -> None:
        """Grow, if it is the window that holds calls back."""
        if self.size < self.max_in_flight and in_flight >= self.size / 2:
            self._epochs += 1 / self.size
            step = 1.0 if self._doubles else _ACCELERATION * max(1.0, self._epochs)
            self.size = min(float(self.max_in_flight), self.size + step)
            if self.size == self.max_in_flight:
                self._doubles = False

    def shrink(self, *, again: bool) -> None:
        """Try with fewer calls."""
        if not again:
            self._before_trials = self.size
        self._before_trial = self.size
        self.size = max(1.0, self.size * _TRIAL)

    def settle(self) -> None:
        """Fewer calls were turned away: not quite as many as before."""
        if not self._doubles:
            self.size = max(self.size, self._before_trial * _DECREASE)
        self._doubles = False
        self._epochs = 0.0

    def restore(self) -> None:
        """No fewer calls were turned away: as many as before."""
        self.size = max(self.size, self._before_trials)
