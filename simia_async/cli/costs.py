"""What a run has cost, as `simia report` and `simia runs show` tell it."""

import msgspec
from simia_store import Reader, TrajectoryStatus

from simia_async.cli.output import show


class RunCost(msgspec.Struct, frozen=True):
    """Tokens and US dollars of a run. None: not known, or nothing to be told."""

    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    usd_per_kept: float | None
    """What one kept trajectory cost, the rejected ones included."""
    tokens_per_kept: float | None
    lost_calls: int
    """Calls that were cut off; whether they were paid nobody knows."""
    lost_usd: float | None
    """At worst, for those."""
    projected_usd: float | None
    """Until as many are kept as were wanted, as the run reckoned last; None if they are."""
    projected_tokens: float | None


def cost_of(reader: Reader) -> RunCost:
    """Add it up, at a cost that does not grow with the run."""
    usage = reader.usage()
    tokens_in = sum(count.tokens_in for count in usage)
    tokens_out = sum(count.tokens_out for count in usage)
    priced = any(count.priced for count in usage)
    cost_usd = sum(count.cost_usd for count in usage) if priced else None
    kept = sum(o.count for o in reader.outcomes() if o.status == TrajectoryStatus.KEPT)
    said = next((s.sample for s in reader.statistics() if s.source == "spending"), {})
    unfinished = (said.get("projected_tokens") or 0) > said.get("spent_tokens", 0)
    return RunCost(
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost_usd=cost_usd,
        usd_per_kept=cost_usd / kept if kept and cost_usd is not None else None,
        tokens_per_kept=(tokens_in + tokens_out) / kept if kept else None,
        lost_calls=said.get("lost_calls", 0),
        lost_usd=said.get("lost_usd"),
        projected_usd=said.get("projected_usd") if unfinished else None,
        projected_tokens=said.get("projected_tokens") if unfinished else None,
    )


def print_cost(cost: RunCost) -> None:
    """A few lines; none for a run that asked no model."""
    tokens = cost.tokens_in + cost.tokens_out
    if not tokens and not cost.lost_calls:
        return
    each = "" if cost.tokens_per_kept is None else f"; {cost.tokens_per_kept:,.0f} a kept one"
    show("tokens", f"{tokens:,} ({cost.tokens_in:,} in, {cost.tokens_out:,} out){each}")
    if cost.cost_usd is not None:
        each = "" if cost.usd_per_kept is None else f"; ${cost.usd_per_kept:.6f} a kept one"
        show("cost", f"${cost.cost_usd:.4f}{each}")
    if cost.lost_calls:
        usd = "" if cost.lost_usd is None else f": ${cost.lost_usd:.4f} more at worst"
        show("cut off", f"{cost.lost_calls} calls{usd}")
    if cost.projected_usd is not None:
        show("projected", f"${cost.projected_usd:.4f} until it is done")
    elif cost.projected_tokens is not None:
        show("projected", f"{cost.projected_tokens:,.0f} tokens until it is done")
