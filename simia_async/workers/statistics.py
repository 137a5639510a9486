"""What screens show of workers, and of what they ask together."""

from collections.abc import Sequence

import msgspec

from simia_async.clients.governor import GovernorStatistics


class WorkerStatistics(msgspec.Struct, frozen=True, gc=False):
    """One worker, as it was last heard of. Times in seconds."""

    id: int
    """Counts from 1; the same over restarts."""
    where: str
    """Process and host of its present or last life."""
    is_ready: bool
    in_flight: int
    """Calls that its endpoints work on."""
    waiting: int
    """Calls that wait for leave to be sent."""
    conversations: int
    """Pieces of work that it has: conversations, or trajectories to write."""
    done: int
    """Pieces of work that it has ended, over all its lives."""
    share: float
    """Its part of the simulator's limits."""
    shares: dict[str, float]
    """The same for each endpoint, by the name of its governor."""
    heard_s: float
    """Since it was heard last."""
    restarts: int
    cpu_s: float
    """CPU time, over all its lives."""


_WORST = ("open", "half-open", "closed")


def together(each: Sequence[GovernorStatistics]) -> GovernorStatistics:
    """Governors that share one endpoint's limits, as one."""
    answered = sum(g.ok for g in each)
    latency = sum(g.latency_s * g.ok for g in each)
    return GovernorStatistics(
        in_flight=sum(g.in_flight for g in each),
        lost=sum(g.lost for g in each),
        waiting=sum(g.waiting for g in each),
        waiting_fresh=sum(g.waiting_fresh for g in each),
        window=sum(g.window for g in each),
        max_in_flight=sum(g.max_in_flight for g in each),
        requests_per_minute=_sum([g.requests_per_minute for g in each]),
        tokens_per_minute=_sum([g.tokens_per_minute for g in each]),
        requests_left=_sum([g.requests_left for g in each]),
        tokens_left=_sum([g.tokens_left for g in each]),
        paused_s=max(g.paused_s for g in each),
        breaker=min((g.breaker for g in each), key=_WORST.index),
        times_opened=sum(g.times_opened for g in each),
        ok=answered,
        rate_limited=sum(g.rate_limited for g in each),
        unavailable=sum(g.unavailable for g in each),
        malformed=sum(g.malformed for g in each),
        refused=sum(g.refused for g in each),
        abandoned=sum(g.abandoned for g in each),
        latency_s=latency / answered if answered else 0.0,
        waited_s=sum(g.waited_s for g in each),
    )


def what_was(stands: GovernorStatistics) -> GovernorStatistics:
    """Of a governor that is no more: its counts, without what it had under way or at hand."""
    return msgspec.structs.replace(
        stands,
        in_flight=0,
        lost=0,
        waiting=0,
        waiting_fresh=0,
        window=0.0,
        max_in_flight=0,
        requests_per_minute=None,
        tokens_per_minute=None,
        requests_left=None,
        tokens_left=None,
        paused_s=0.0,
        breaker="closed",
    )


def _sum(parts: Sequence[float | None]) -> float | None:
    """Of those that know; None if nobody does."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
