"""The governor of one endpoint: above all clients and roles, what may be sent now."""

import asyncio

from simia_async.clients.governor.core import (
    GovernorCore,
    GovernorStatistics,
    Lease,
    Outcome,
    Ticket,
)
from simia_async.config import Endpoint
from simia_async.errors import EndpointUnavailable

_SLACK_S = 0.01


class Governor:
    """Holds calls back to what the endpoint can take. Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = endpoint.base_url
        self._patience_s = endpoint.retry_budget_s
        self._core = GovernorCore(
            self._loop.time(),
            max_in_flight=endpoint.max_in_flight,
            requests_per_minute=endpoint.requests_per_minute,
            tokens_per_minute=endpoint.tokens_per_minute,
        )
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0
        """When the timer does; uvloop's handles of what is due at once do not say."""

    @property
    def is_down(self) -> bool:
        """Whether the endpoint does not answer at all: who waits here is told when it does."""
        return self._core.breaker.opened_at is not None

    async def enter(self, tokens: float, *, fresh: bool, deadline: float | None) -> Ticket:
        """Wait until a call of about `tokens` may be sent. Each ticket must be given to `leave`.

        `deadline`, in the loop's time, is when the call's retry budget ends; None: it has not
        failed yet. Raises `EndpointUnavailable` when it has passed, or when the endpoint has been
        down for as long as a retry budget.
        """
        ticket = Ticket(tokens, fresh=fresh)
        if self._core.submit(ticket, self._loop.time()):
            return ticket
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters[ticket] = waiter
        # Who joins the queue does not change when its first may go, unless it is the first.
        if self._timer is None or not ticket.fresh:
            self._set_timer()
        expiry = None
        if deadline is not None:
            expiry = self._loop.call_at(deadline, self._expire, ticket)
        try:
            await waiter
        except BaseException:
            self._withdraw(ticket)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
        return ticket

    def leave(self, ticket: Ticket, outcome: Outcome) -> None:
        """Give a ticket back, with what became of the call."""
        now = self._loop.time()
        self._core.finish(ticket, outcome, now)
        if self._waiters:
            self._pump()

    def set_max_in_flight(self, max_in_flight: int) -> None:
        """Change the upper bound of calls at once."""
        self._core.window.resize(max_in_flight)
        self._pump()

    def lease(self, lease: Lease) -> None:
        """Have a part of what the endpoint takes from now on; others have the rest."""
        self._core.lease(lease, self._loop.time())
        self._pump()

    def statistics(self) -> GovernorStatistics:
        """The governor as it stands."""
        return self._core.statistics(self._loop.time())

    def _pump(self) -> None:
        """Let go who may, and see to it that the next ones are not forgotten."""
        now = self._loop.time()
        for ticket in self._core.grants(now):
            waiter = self._waiters.pop(ticket)
            if not waiter.done():
                waiter.set_result(None)
        self._give_up(now)
        self._set_timer()

    def _give_up(self, now: float) -> None:
        """An endpoint that is down for as long as a retry budget fails all who wait for it."""
        down_since = self._core.breaker.opened_at
        if down_since is not None and now - down_since > self._patience_s:
            for ticket in list(self._waiters):
                self._fail(ticket, f"down for {now - down_since:.0f} s")

    def _expire(self, ticket: Ticket) -> None:
        self._fail(ticket, "its turn did not come within the call's retry budget")

    def _fail(self, ticket: Ticket, why: str) -> None:
        waiter = self._waiters.get(ticket)
        if waiter is not None and not waiter.done():
            waiter.set_exception(EndpointUnavailable(f"{self._name}: {why}"))

    def _withdraw(self, ticket: Ticket) -> None:
        if self._waiters.pop(ticket, None) is not None:
            self._core.withdraw(ticket)
            self._set_timer()
        else:
            # Granted in the same moment: the call will not be made after all.
            self.leave(ticket, Outcome("abandoned"))

    def _set_timer(self) -> None:
        """Wake up when the next call may go. A timer that rings too early does no harm, and is left
        alone: to set one anew for each of thousands of calls costs more.
        """
        timer = self._timer
        now = self._loop.time()
        at = self._core.next_at(now) if self._waiters else None
        down_since = self._core.breaker.opened_at
        if at is not None and down_since is not None:
            at = min(at, down_since + self._patience_s + _SLACK_S)
        if at is None:
            if timer is not None and not self._waiters:
                timer.cancel()
                self._timer = None
        elif timer is None or at < self._rings_at:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(at, self._ring)
            self._rings_at = at

    def _ring(self) -> None:
        self._timer = None
        self._pump()
