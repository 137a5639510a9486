"""Tells a sudden overload from an endpoint that always fails a few calls."""

_RECENT = 1 / 12
_SAMPLE = 12
_LEARNING = 0.5
_FORGETTING = 1 / 600
_MARGIN = 0.05
_MOST_USUAL = 0.25
"""More failures than this are never taken for the endpoint's nature."""


class Noise:
    """How many calls were turned away lately, and how many are usually.

    To slow down helps against an overload; against failures that strike at random it does not, and
    would only hold everything up. So what is usual is learnt from calls that were sent just after
    we slowed down: those are turned away only by chance.
    """

    def __init__(self) -> None:
        self._recent = 0.0
        self._usual = 0.0
        self._slowed_at = float("inf")
        self._sampled = self._sampled_away = 0

    def heard(self, sent_at: float, now: float, *, turned_away: bool) -> bool:
        """Take in an answer; says whether more calls are turned away than usual."""
        self._recent -= _RECENT * self._recent
        self._usual -= _FORGETTING * self._usual
        if sent_at >= self._slowed_at:
            self._sample(turned_away=turned_away)
        if not turned_away:
            return False
        self._recent += _RECENT
        if self._recent <= _MARGIN + 3 * self._usual:
            return False
        if self._slowed_at == float("inf"):
            self._slowed_at = now
        return True

    def _sample(self, *, turned_away: bool) -> None:
        self._sampled += 1
        self._sampled_away += turned_away
        if self._sampled == _SAMPLE:
            share = min(self._sampled_away / _SAMPLE, _MOST_USUAL)
            self._usual += _LEARNING * (share - self._usual)
            self._slowed_at = float("inf")
            self._sampled = self._sampled_away = 0
