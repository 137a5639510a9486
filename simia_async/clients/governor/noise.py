"""Tells an overload, against which it helps to slow down, from failures that strike at random."""

from typing import Literal

Verdict = Literal["slow down", "slow down more", "it helped", "it did not help"]

_RECENT = 1 / 12
_MARGIN = 0.05
_TIMES_USUAL = 2.5
_MOST_USUAL = 0.25
"""More failures than this are never taken for the endpoint's nature."""
_SAMPLE = 16
_ENOUGH = 14
"""Some calls of a sample may hang."""
_FEW = 1
_MANY = 8
_STEPS = 2
_LEARNING = 0.3
_FORGETTING = 1 / 600


class Noise:
    """Looks out for more calls turned away than usual, and then, whether it helped to slow down.

    Refusals come sooner than answers; so a trial is judged by the calls sent first in it, and not
    by those heard of first. What is usual is learnt from trials that were to no avail.
    """

    def __init__(self) -> None:
        self.trial = 0
        """Number of the trial that calls are sent in now; 0 is none."""
        self._trials = 0
        self._steps = 0
        self._judged = 0
        self._sent = self._heard = self._turned_away = 0
        self.recent = 0.0
        """Share of calls turned away lately."""
        self._usual = 0.0

    def sent(self) -> None:
        """A call was sent that belongs to the trial."""
        self._sent += 1
        if self._sent == _SAMPLE:
            self.trial = 0

    def heard(self, trial: int, *, turned_away: bool) -> Verdict | None:
        """Take in the answer to a call; `trial` is the one that it was sent in."""
        self.recent -= _RECENT * self.recent
        self._usual -= _FORGETTING * self._usual
        if turned_away:
            self.recent += _RECENT
        if self._judged:
            if trial == self._judged:
                self._heard += 1
                self._turned_away += turned_away
                if self._heard == _ENOUGH:
                    return self._judge()
            return None
        if turned_away and self.recent > _MARGIN + _TIMES_USUAL * self._usual:
            self._steps = 0
            self._try()
            return "slow down"
        return None

    def _judge(self) -> Verdict:
        away = self._turned_away
        if away >= _MANY or (away > _FEW and self._steps < _STEPS):
            self._try()
            return "slow down more"
        self._usual += _LEARNING * (min(away / _ENOUGH, _MOST_USUAL) - self._usual)
        self.trial = self._judged = 0
        return "it helped" if away <= _FEW else "it did not help"

    def _try(self) -> None:
        self._steps += 1
        self._trials += 1
        self.trial = self._judged = self._trials
        self._sent = self._heard = self._turned_away = 0
