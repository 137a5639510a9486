"""A circuit breaker: an endpoint that is down is asked by one probe at a time."""

from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]

_FAILURES = 8
"""Failures in a row that open it."""
_FIRST_PROBE_S = 0.5
_GROWTH = 1.5
_SLOWEST_PROBE_S = 2.0
"""Probes never come rarer: an endpoint that is back is noticed within this time."""


class Breaker:
    """Closed while calls get through; open after failures in a row or silence; half-open during a
    probe.
    """

    def __init__(self) -> None:
        self.state: BreakerState = "closed"
        self.opened_at: float | None = None
        """When the outage began; None if there is none."""
        self.times_opened = 0
        self.probe_at = float("inf")
        self._silent = False
        self._changed_at = float("-inf")
        self._failures = 0
        self._pause_s = _FIRST_PROBE_S

    def probing(self, now: float) -> None:
        """A probe was sent. Should it hang, the next one does not wait for its time-out."""
        self.state, self.probe_at = "half-open", now + _SLOWEST_PROBE_S

    def reached(self, sent_at: float, now: float) -> None:
        """The endpoint answered, whatever it said."""
        if self.state == "closed":
            self._failures = 0
        elif self._silent or sent_at >= self._changed_at:
            # An answer to what was sent before the failures began says nothing of them.
            self.state, self.opened_at, self.probe_at = "closed", None, float("inf")
            self._changed_at = now
            self._failures = 0

    def failed(self, sent_at: float, now: float) -> None:
        """A call did not get through."""
        if sent_at < self._changed_at:
            return  # it belongs to a time that was judged already
        if self.state != "closed":
            self._pause_s = min(self._pause_s * _GROWTH, _SLOWEST_PROBE_S)
            self._wait(now)
            return
        self._failures += 1
        if self._failures >= _FAILURES:
            self._open(now, silent=False)

    def silent(self, now: float) -> None:
        """Nothing has been heard of any call for far too long."""
        self._open(now, silent=True)

    def abandoned(self, now: float) -> None:
        """A probe was given up before it came to anything."""
        if self.state == "half-open":
            self._wait(now)

    def _open(self, now: float, *, silent: bool) -> None:
        self.times_opened += 1
        self.opened_at = self._changed_at = now
        self._silent = silent
        self._pause_s = _FIRST_PROBE_S
        self._wait(now)

    def _wait(self, now: float) -> None:
        self.state = "open"
        self.probe_at = now + self._pause_s
