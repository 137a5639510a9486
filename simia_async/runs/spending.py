"""The budget of a run: what earlier sessions have spent, and work that begins only if it fits."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import msgspec
from simia_store import Reader, TrajectoryStatus

from simia_async.clients import ChatClient, Spending
from simia_async.config import Budget
from simia_async.errors import ConfigError


class PaidAgain(msgspec.Struct, frozen=True):
    """Calls that were in flight when a run was cut off, and are made again."""

    calls: int
    """At most: one for each conversation that had begun and not ended."""
    worst_cost_usd: float | None
    """If each costs as much as the dearest call of the run so far; None: prices are not known."""

    def __str__(self) -> str:
        cost = "" if self.worst_cost_usd is None else f", ${self.worst_cost_usd:.4f} at worst"
        return (
            f"the run was cut off; at most {self.calls} calls were in flight and are made again"
            f"{cost}"
        )


def check_prices(budget: Budget, client: ChatClient) -> None:
    """Raise `ConfigError` if a budget in dollars could not be kept."""
    if budget.max_cost_usd is not None and client.prices is None:
        raise ConfigError(
            f"--max-cost-usd: the price of {client.endpoint.model!r} at "
            f"{client.endpoint.base_url} is not known; give it with --usd-in and --usd-out, or "
            "limit tokens with --max-total-tokens"
        )


def recall_spending(path: Path, spending: Spending) -> PaidAgain | None:
    """Charge what earlier sessions of the run at `path` have spent, calls in flight at their end
    at the worst. None: nothing was in flight.
    """
    with Reader(path) as reader:
        usage, outcomes = reader.usage(), reader.outcomes()
    cut_off = sum(o.count for o in outcomes if o.status == TrajectoryStatus.RUNNING)
    ended = sum(o.count for o in outcomes) - cut_off
    priced = any(count.priced for count in usage)
    worst = cut_off * max((count.max_cost_usd for count in usage), default=0.0)
    spending.charge_earlier(
        sum(count.cost_usd for count in usage) + worst,
        sum(count.tokens_in + count.tokens_out for count in usage),
        ended,
    )
    return PaidAgain(cut_off, worst if priced else None) if cut_off else None


async def run_within(spending: Spending, units: Sequence[Callable[[], Awaitable[None]]]) -> int:
    """Run units of work at once, each begun only when the budget allows it; how many were begun.

    Those that were are never cut off.
    """
    begun = 0
    ended = anyio.Event()

    async def run(unit: Callable[[], Awaitable[None]]) -> None:
        nonlocal ended
        try:
            await unit()
        finally:
            spending.end()
            ended.set()
            ended = anyio.Event()

    async with anyio.create_task_group() as group:
        for unit in units:
            while not spending.allows_another():
                if not spending.active:
                    return begun
                await ended.wait()
            spending.begin()
            begun += 1
            group.start_soon(run, unit)
    return begun
