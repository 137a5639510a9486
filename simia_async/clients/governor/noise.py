"""Tells an overload, against which it helps to slow down, from failures that strike at random."""

import math
from typing import Literal

Verdict = Literal["slow down", "slow down more", "pause", "it helped", "it did not help"]

_RECENT = 1 / 12
_MARGIN = 0.05
_TIMES_USUAL = 2.5
_MOST_USUAL = 0.25
"""More failures than this are never taken for the endpoint's nature."""
_SAMPLE = 16
_FEW = 1
_MANY = 8
_TRIALS = 2
_LEARNING = 0.3
_FORGETTING = 1 / 600


class Noise:
    """Looks out for more calls turned away than usual, and then, whether it helped to slow down.

    What is usual is learnt from calls that were sent while we were slower, but to no avail.
    """

    def __init__(self) -> None:
        self._recent = 0.0
        self._usual = 0.0
        self._slow_since = math.inf
        self._trials = 0
        self._heard = self._turned_away = 0

    def heard(self, sent_at: float, now: float, *, turned_away: bool) -> Verdict | None:
        """Take in the answer to a call."""
        self._recent -= _RECENT * self._recent
        self._usual -= _FORGETTING * self._usual
        if turned_away:
            self._recent += _RECENT
        if self._slow_since < math.inf:
            return self._judge(now, turned_away=turned_away) if sent_at >= self._slow_since else None
        if turned_away and self._recent > _MARGIN + _TIMES_USUAL * self._usual:
            self._slow_since = now
            self._trials = 1
            return "slow down"
        return None

    def _judge(self, now: float, *, turned_away: bool) -> Verdict | None:
        self._heard += 1
        self._turned_away += turned_away
        if self._heard < _SAMPLE:
            return "pause" if turned_away else None
        away = self._turned_away
        self._heard = self._turned_away = 0
        if away >= _MANY or (away > _FEW and self._trials < _TRIALS):
            self._trials += 1
            self._slow_since = now
            return "slow down more"
        self._usual += _LEARNING * (min(away / _SAMPLE, _MOST_USUAL) - self._usual)
        self._slow_since = math.inf
        return "it helped" if away <= _FEW else "it did not help"
