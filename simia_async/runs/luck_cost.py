"""What replaying rollouts will cost: told before it begins."""

from collections.abc import Iterable

import msgspec

from simia_async.clients import ChatClient, Usage
from simia_async.runs.luck_recordings import Recording, RoleCost


class Estimate(msgspec.Struct, frozen=True):
    """What is to be expected, from what the rollouts themselves have cost."""

    calls: int
    tokens: int
    cost_usd: float | None
    """None where a price is not known."""
    unknown: int = 0
    """Replays of rollouts whose calls are not in the ledger; they are not part of it."""


def estimate(
    left: Iterable[Recording], judgings: int, world: ChatClient, judge: ChatClient
) -> Estimate:
    """For each of the replays that are `left`: the calls of its world once, its judge's `judgings`
    times. What the world answers otherwise may lead to more or fewer.
    """
    of_world = of_judge = RoleCost()
    unknown = 0
    for recording in left:
        costs = recording.costs
        unknown += not costs
        # One prompt that plays user and tools is counted whole: at most it costs so much.
        for role in ("tool", "joint"):
            of_world += costs.get(role, RoleCost())
        of_judge += costs.get("judge", RoleCost()) * judgings
    total = of_world + of_judge
    usd = [_usd(of_world, world), _usd(of_judge, judge)]
    known = [each for each in usd if each is not None]
    return Estimate(
        total.calls,
        total.tokens_in + total.tokens_out,
        sum(known) if len(known) == len(usd) else None,
        unknown,
    )


def in_words(estimate: Estimate, replays: int) -> str:
    """A sentence for the screen."""
    usd = "" if estimate.cost_usd is None else f", ${estimate.cost_usd:.4f}"
    lacking = f"; {estimate.unknown} of them cannot be told" if estimate.unknown else ""
    return (
        f"{replays} replays are to be played: about {estimate.calls:,} calls, "
        f"{estimate.tokens:,} tokens{usd}, as the rollouts have cost{lacking}"
    )


def _usd(cost: RoleCost, client: ChatClient) -> float | None:
    if not cost.calls:
        return 0.0
    if client.prices is None:
        return None
    return client.prices.cost_usd(Usage(cost.tokens_in, cost.tokens_out))
