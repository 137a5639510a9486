"""Tells a sudden overload from an endpoint that always fails a few calls."""

_RECENT = 1 / 12
_USUAL = 1 / 300
_MARGIN = 0.05
_MOST_USUAL = 0.3
"""More failures than this are never taken for the endpoint's nature."""


class Noise:
    """Shares of calls that were turned away, lately and usually.

    To slow down helps against overload and not against failures that strike at random; those would
    only hold everything up.
    """

    def __init__(self) -> None:
        self._recent = 0.0
        self._usual = 0.0

    def heard(self, *, turned_away: bool) -> bool:
        """Take in an answer; says whether more calls are turned away than usual."""
        self._recent -= _RECENT * self._recent
        self._usual -= _USUAL * self._usual
        if not turned_away:
            return False
        self._recent += _RECENT
        sudden = self._recent > _MARGIN + 2 * self._usual
        # What we do against an overload must not make it look usual, or we would do less and less.
        self._usual = min(self._usual + (_USUAL / 4 if sudden else _USUAL), _MOST_USUAL)
        return sudden
