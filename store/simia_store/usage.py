"""Calls added up by role, endpoint, model and outcome, so that no screen has to count them."""

from collections.abc import Iterable

import msgspec

from simia_store.records import CallRecord, UsageCount

ADD_USAGE = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    calls = calls + excluded.calls, tokens_in = tokens_in + excluded.tokens_in,
    tokens_out = tokens_out + excluded.tokens_out,
    tokens_cached = tokens_cached + excluded.tokens_cached,
    priced = priced + excluded.priced, cost_usd = cost_usd + excluded.cost_usd,
    max_cost_usd = max(max_cost_usd, excluded.max_cost_usd),
    latency_s = latency_s + excluded.latency_s
"""


def usage_of(calls: Iterable[CallRecord]) -> list[tuple[str | int | float, ...]]:
    """Rows of the table `usage` to be added to those that are there."""
    sums: dict[tuple[str, str, str, str], list[float]] = {}
    for call in calls:
        key = (call.role, call.endpoint, call.model, call.status)
        total = sums.get(key)
        if total is None:
            total = sums[key] = [0, 0, 0, 0, 0, 0.0, 0.0, 0.0]
        total[0] += 1
        total[1] += call.tokens_in
        total[2] += call.tokens_out
        total[3] += call.tokens_cached
        if call.cost_usd is not None:
            total[4] += 1
            total[5] += call.cost_usd
            total[6] = max(total[6], call.cost_usd)
        total[7] += call.latency_s
    return [(*key, *total) for key, total in sums.items()]


class RoleUsage(msgspec.Struct, frozen=True):
    """Calls of one role, over all endpoints."""

    role: str
    ok: int
    failed: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    """None where no price is known."""


def usage_by_role(counts: Iterable[UsageCount]) -> list[RoleUsage]:
    """What `Reader.usage` tells, a line a role."""
    roles: dict[str, list[UsageCount]] = {}
    for count in counts:
        roles.setdefault(count.role, []).append(count)
    return [
        RoleUsage(
            role,
            ok=sum(count.calls for count in mine if count.status == "ok"),
            failed=sum(count.calls for count in mine if count.status != "ok"),
            tokens_in=sum(count.tokens_in for count in mine),
            tokens_out=sum(count.tokens_out for count in mine),
            cost_usd=(
                sum(count.cost_usd for count in mine)
                if any(count.priced for count in mine)
                else None
            ),
        )
        for role, mine in sorted(roles.items())
    ]
