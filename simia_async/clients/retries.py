"""How long a call that failed is tried again: a budget for each kind of failure."""

import time

import tenacity

from simia_async.config import Endpoint
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointUnavailable,
    RateLimited,
)

_FIRST_BACKOFF_S = 0.25


class Patience:
    """The budgets of one call.

    They run from the first failure of their kind, so that waiting for a turn is not held against
    the call, and a wait that would outlast its budget is not begun.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._backoff = tenacity.wait_random_exponential(
            multiplier=_FIRST_BACKOFF_S, max=endpoint.max_backoff_s
        )
        self._deadlines: dict[type[EndpointError], float] = {}
        self._malformed = 0
        self._failures = 0

    @property
    def deadline(self) -> float | None:
        """When the first budget to end ends, on the clock of `time.monotonic`; None: none runs."""
        return min(self._deadlines.values(), default=None)

    def wait_after(self, error: EndpointError) -> float | None:
        """Seconds until the next attempt, with full jitter; None if there is to be none."""
        self._failures += 1
        wait = self._backoff(_state(self._failures))
        match error:
            case BadReply():
                self._malformed += 1
                return wait if self._malformed < self._endpoint.malformed_attempts else None
            case RateLimited():
                budget = self._endpoint.rate_limit_budget_s
                wait = max(wait, error.retry_after_s)
            case EndpointUnavailable():
                budget = self._endpoint.retry_budget_s
            case _:
                return None
        now = time.monotonic()
        deadline = self._deadlines.setdefault(type(error), now + budget)
        return wait if now + wait <= deadline else None


def _state(attempt: int) -> tenacity.RetryCallState:
    """What tenacity's waits are computed from."""
    state = tenacity.RetryCallState(tenacity.AsyncRetrying(), None, (), {})
    state.attempt_number = attempt
    return state
