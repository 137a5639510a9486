"""Telling an endpoint that fails as a whole from calls that fail one by one."""

from simia_async.errors import BadReply, EndpointError, EndpointRefused

_IN_A_ROW = 20
"""Failed calls in a row, each beyond its own retry budget, that are an outage."""
FOR_GOOD = (401, 402, 403, 404)
"""HTTP statuses that the next call would get too, whatever it asks: key, quota, model."""


class OutageWatch:
    """Sees how calls end, and says when going on would only use attempts up."""

    def __init__(self) -> None:
        self._answered = False
        self._failures_in_a_row = 0

    def answered(self) -> None:
        """A call was answered."""
        self._answered = True
        self._failures_in_a_row = 0

    def is_outage(self, error: EndpointError) -> bool:
        """Whether the call that failed with `error` is one too many."""
        if isinstance(error, BadReply):
            return False
        self._failures_in_a_row += 1
        if isinstance(error, EndpointRefused):
            return not self._answered or error.status in FOR_GOOD
        return self._failures_in_a_row >= _IN_A_ROW
