"""6 Endpoints: what each governor lets through, what it learnt, and what is paid for what."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text
from simia_store import Browser, CallRecord, StatisticsRecord, UsageCount

from simia_tui.feed import Snapshot
from simia_tui.figures import bar, dollars, pairs, short, table
from simia_tui.pane import TextPane
from simia_tui.text import clean_line

_CALLS = 2000
"""The last calls, of which waits and latencies are told."""
_SAMPLES = 60
"""The last windows that are drawn."""

_FAILURES = {
    "rate_limited": "429",
    "unavailable": "unavailable",
    "malformed": "malformed",
    "refused": "refused",
    "abandoned": "abandoned",
}
"""Counts of a governor, and what they are called here."""


class Recent(msgspec.Struct, frozen=True):
    """What is read for this pane only."""

    calls: list[CallRecord]
    windows: dict[str, list[StatisticsRecord]]


class Endpoints(TextPane):
    """A block for each governor, and tables of calls."""

    TITLE = "Endpoints"

    async def parts(self, snapshot: Snapshot) -> list[RenderableType]:
        """Blocks and tables, with the last calls."""
        names = [name for name, said in snapshot.statistics.items() if "breaker" in said]

        def read(browser: Browser) -> Recent:
            windows = {name: browser.last_samples(name, _SAMPLES) for name in names}
            return Recent(browser.last_calls(_CALLS), windows)

        recent = await self.board.shelf.ask(read)
        parts: list[RenderableType] = []
        for name in names:
            parts += [self._governor(name, snapshot.statistics[name], recent.windows[name]), ""]
        parts += [self._waits(recent.calls), "", self._costs(snapshot.usage_counts)]
        return parts

    def _governor(
        self, name: str, said: dict[str, Any], windows: list[StatisticsRecord]
    ) -> RenderableType:
        title = Text(clean_line(name), style=self.palette.head)
        if said["breaker"] != "closed":
            title.append(f"  BREAKER {said['breaker']}", style=self.palette.bad)
        if said["paused_s"] > 0:
            title.append(f"  asked to wait {said['paused_s']:.0f} s", style=self.palette.warn)
        failures = "".join(
            f" · {said[key]} × {word}" for key, word in _FAILURES.items() if said[key]
        )
        opened = f" · opened {said['times_opened']} times" if said["times_opened"] else ""
        used = f"{said['in_flight']} of {said['window']:.0f} (at most {said['max_in_flight']})"
        filled = bar(said["in_flight"], said["window"], 20)
        rows: list[tuple[str, str | Text]] = [
            ("in flight", f"{filled} {used} · {said['waiting']} waiting"),
            ("window", f"{_spark([w.sample['window'] for w in windows])} over the last samples"),
            ("quota", _quota(said)),
            ("answers", f"{said['ok']} ok{failures}"),
            ("latency", f"{said['latency_s']:.2f} s · breaker {said['breaker']}{opened}"),
        ]
        return Group(title, pairs(rows, self.palette))

    def _waits(self, calls: list[CallRecord]) -> RenderableType:
        by_role: dict[str, list[CallRecord]] = defaultdict(list)
        for call in calls:
            by_role[call.role].append(call)
        rows = [
            (
                role,
                str(len(mine)),
                *(f"{_quantile(mine, lambda c: c.waited_s, q):.2f}" for q in (0.5, 0.95)),
                *(f"{_quantile(mine, lambda c: c.latency_s, q):.2f}" for q in (0.5, 0.95)),
                str(sum(call.attempt > 1 for call in mine)),
            )
            for role, mine in sorted(by_role.items())
        ]
        columns = ("role", "calls", "wait p50", "wait p95", "took p50", "took p95", "retries")
        return table(f"the last {len(calls)} calls, in seconds", columns, rows, self.palette)

    def _costs(self, usage: list[UsageCount]) -> RenderableType:
        totals: dict[tuple[str, str, str], list[float]] = {}
        for count in usage:
            # A policy's versions are models of their own, by the dozen.
            key = (count.role, count.endpoint, count.model.partition("@")[0])
            total = totals.get(key, [0.0] * 6)
            amounts = (count.tokens_in, count.tokens_out, count.tokens_cached, count.cost_usd)
            calls = (count.calls, 0) if count.status == "ok" else (0, count.calls)
            totals[key] = [a + b for a, b in zip(total, (*calls, *amounts), strict=True)]
        rows = [
            (*key, *(short(value) for value in total[:5]), dollars(total[5] or None))
            for key, total in sorted(totals.items())
        ]
        columns = ("role", "endpoint", "model", "ok", "failed", "in", "out", "cached", "cost")
        return table("calls and tokens", columns, rows, self.palette, flexible=1)


def _quota(said: dict[str, Any]) -> str:
    """Requests and tokens that are left, of how many a minute."""
    parts = []
    for unit in ("requests", "tokens"):
        limit, left = said[f"{unit}_per_minute"], said[f"{unit}_left"]
        if limit is not None:
            left = 0 if left is None else left
            parts.append(f"{bar(left, limit, 10)} {short(left)}/{short(limit)} {unit}")
    return " · ".join(parts) + " a minute" if parts else "no limit known"


def _quantile(calls: list[CallRecord], of: Callable[[CallRecord], float], share: float) -> float:
    values = sorted(map(of, calls))
    return values[min(len(values) - 1, int(share * len(values)))]


def _spark(values: list[float]) -> str:
    if not values:
        return "–"
    top = max(values) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(value / top * 7.999))] for value in values)
