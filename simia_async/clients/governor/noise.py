"""Tells an overload, against which it helps to slow down, from failures that strike at random."""

_RECENT = 1 / 12
_USUAL = 1 / 150
_MARGIN = 0.1
_TIMES_USUAL = 2
_MOST_USUAL = 0.25
"""More failures than this are never taken for the endpoint's nature."""


class Noise:
    """How many calls are turned away lately, and how many are usually."""

    def __init__(self) -> None:
        self.recent = 0.0
        """Share of calls turned away lately."""
        self._usual = 0.0

    def heard(self, *, turned_away: bool) -> bool:
        """Take in an answer; says whether more calls are turned away than usual."""
        self.recent -= _RECENT * self.recent
        self._usual -= _USUAL * self._usual
        if not turned_away:
            return False
        self.recent += _RECENT
        self._usual = min(self._usual + _USUAL, _MOST_USUAL)
        return self.recent > _MARGIN + _TIMES_USUAL * self._usual
