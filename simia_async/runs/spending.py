"""The budget of a run: what earlier sessions have spent, and work that begins only if it fits."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import anyio
from simia_store import CallRecord, Reader

from simia_async.clients import ChatClient, Spending
from simia_async.clients.spending import Amount, Earlier, Unit
from simia_async.config import Budget
from simia_async.errors import ConfigError

CUT_OFF = "CutOff"
"""Status of a call that was, or may have been, in flight when its owner was killed."""

_LOST = (CUT_OFF, "CancelledError")
"""Statuses of calls that may have been answered, and paid, without anybody seeing it."""


def check_prices(budget: Budget, client: ChatClient, flags: str = "") -> None:
    """Raise `ConfigError` if a budget in dollars could not be kept. `flags` is what those of the
    client's prices begin with.
    """
    if budget.max_cost_usd is not None and client.prices is None:
        raise ConfigError(
            f"--max-cost-usd: the price of {client.endpoint.model!r} at "
            f"{client.endpoint.base_url} is not known; give it with --{flags}usd-in and "
            f"--{flags}usd-out, or "
            "limit tokens with --max-total-tokens"
        )


def earlier_spending(
    path: Path,
    *,
    group_size: int | None = None,
    counts: Callable[[CallRecord], bool] = lambda _: True,
) -> Earlier:
    """What earlier sessions of the run at `path` have spent on calls that count. It reads every
    call of the run.

    A unit is a trajectory, or a group of so many; then a call that was lost cost as much as the
    dearest call at worst, not as much as a unit.
    """
    units: dict[int | str, Amount] = {}
    prepared = dearest = dearest_prepared = dearest_call = Amount()
    lost = 0
    priced = False
    with Reader(path) as reader:
        for number, call in enumerate(filter(counts, reader.calls())):
            lost += call.status in _LOST
            priced = priced or call.cost_usd is not None
            amount = Amount.of(call)
            dearest_call = dearest_call.at_least(amount)
            if call.role == "reviewer":
                prepared += amount
                dearest_prepared = dearest_prepared.at_least(amount)
                continue
            # Calls that are for no trajectory are a unit each.
            unit = f"call {number}" if call.trajectory_id is None else call.trajectory_id
            if group_size and isinstance(unit, int):
                unit = (unit - 1) // group_size
            units[unit] = units.get(unit, Amount()) + amount
    spent = prepared
    for amount in units.values():
        spent += amount
        dearest = dearest.at_least(amount)
    answered = sum(1 for amount in units.values() if amount.tokens)
    return Earlier(
        spent,
        prepared,
        priced,
        answered,
        lost,
        dearest_call if group_size else None,
        dearest,
        dearest_prepared,
    )


def already_spent(path: Path) -> Earlier:
    """What the run at `path` has spent, for another run that counts it as its own."""
    earlier = earlier_spending(path)
    return Earlier(spent=earlier.spent, priced=earlier.priced)


def cut_off_sentence(calls: int, earlier: Earlier) -> str:
    """What the user of a run that goes on should know of the calls that are made again."""
    cost = ""
    each = earlier.lost_each or earlier.dearest
    if earlier.priced and each.usd:
        cost = f", ${calls * each.usd:.6f} at worst"
    return f"the run was cut off; at most {calls} calls were in flight and are made again{cost}"


async def run_within(
    spending: Spending,
    units: Iterable[Callable[[], Awaitable[object]]],
    has_room: Callable[[int], bool] = lambda _: True,
    *,
    preparatory: bool = False,
) -> int:
    """Run units of work at once, each begun only when the budget allows it, and `has_room` for one
    more beside so many; how many were begun.

    Those that were are never cut off. Ends when none may begin and none is under way.
    """
    begun = 0
    ended = anyio.Event()

    async def run(work: Callable[[], Awaitable[object]], unit: Unit) -> None:
        nonlocal ended
        with unit:
            await work()
        ended.set()
        ended = anyio.Event()

    # A unit is taken only when it may begin, so that whoever goes on with `units` misses none.
    remaining = iter(units)
    async with anyio.create_task_group() as group:
        while True:
            while not (
                has_room(spending.active) and spending.allows_another(preparatory=preparatory)
            ):
                if not spending.active:
                    return begun
                await ended.wait()
            work = next(remaining, None)
            if work is None:
                break
            group.start_soon(run, work, spending.begin(preparatory=preparatory))
            begun += 1
    return begun
