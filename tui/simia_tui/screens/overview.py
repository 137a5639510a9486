"""1 Overview: how the run stands, what came of its conversations, calls by role, main curves."""

from collections.abc import Iterator

from rich.text import Text
from simia_store import TrajectoryStatus
from textual.app import ComposeResult
from textual.containers import Grid, Horizontal, VerticalScroll
from textual.widgets import Static

from simia_tui.feed import Snapshot
from simia_tui.figures import bar, dollars, pairs, per_second, short, table
from simia_tui.pane import Pane
from simia_tui.widgets.plot import Curve, Plot
from simia_tui.widgets.status_bar import span

_CURVES = {
    "reward": {"rollout/reward_mean": ""},
    "solved": {
        "rollout/solved_needs_action": "needs action",
        "rollout/solved_no_action": "no action",
    },
    "loss": {"train/loss": ""},
    "staleness": {"rollout/staleness": ""},
}
"""Plots, their metrics and what these are called there."""
_FAILED = (TrajectoryStatus.UNSCORED, TrajectoryStatus.REJECTED)


class Overview(Pane):
    """Draws one snapshot after another."""

    TITLE = "Overview"
    DEFAULT_CSS = """
    Overview VerticalScroll { padding: 0 1; }
    Overview Static { height: auto; }
    Overview #tables { height: auto; margin-top: 1; }
    Overview #tables Static { width: 1fr; }
    Overview #tables #outcomes { margin-right: 3; }
    Overview #curves { grid-size: 2; grid-rows: 8; grid-gutter: 0 2; height: auto; margin-top: 1; }
    Overview #curves Plot { height: 8; }
    """

    def compose(self) -> ComposeResult:
        """Facts, two tables, four plots."""
        with VerticalScroll():
            yield Static(id="facts")
            with Horizontal(id="tables"):
                yield Static(id="outcomes")
                yield Static(id="usage")
            with Grid(id="curves"):
                for title in _CURVES:
                    plot = Plot(title, id=f"curve-{title}")
                    plot.display = False
                    yield plot

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`."""
        self.query_one("#facts", Static).update(pairs(self._facts(snapshot), self.palette))
        self._show_outcomes(snapshot)
        self._show_usage(snapshot)
        for title, names in _CURVES.items():
            curves = [
                Curve(label, snapshot.series[name])
                for name, label in names.items()
                if name in snapshot.series
            ]
            plot = self.query_one(f"#curve-{title}", Plot)
            plot.display = bool(curves)
            plot.show(curves)

    def _facts(self, snapshot: Snapshot) -> Iterator[tuple[str, str | Text]]:
        if snapshot.run is None:
            yield "run", "has not begun to write"
            return
        if snapshot.run.reason:
            yield "ended", snapshot.run.reason
        if snapshot.progress is not None:
            done, total, unit = snapshot.progress
            eta = "" if snapshot.eta_s is None else f" · about {span(snapshot.eta_s)} left"
            yield "progress", f"{bar(done, total, 20)} {done:.0f} of {total:.0f} {unit}{eta}"
        yield "time", f"{span(snapshot.age_s)}{self._heartbeat(snapshot)}"
        yield "conversations", self._conversations(snapshot)
        rates = snapshot.rates
        yield (
            "throughput",
            f"{per_second(rates.calls, 'calls')} · {per_second(rates.tokens, 'tokens')}"
            f" · {per_second(rates.conversations, 'conversations')}",
        )
        yield "cost", _cost(snapshot)
        if snapshot.version is not None:
            yield "policy", f"version {snapshot.version} · {snapshot.adapters} adapters"

    def _heartbeat(self, snapshot: Snapshot) -> str:
        if snapshot.session is None or not snapshot.is_live:
            return ""
        return f" · process {snapshot.session.pid}, heartbeat {snapshot.silent_s:.0f} s ago"

    def _conversations(self, snapshot: Snapshot) -> str:
        said = snapshot.statistics.get("scheduler", {})
        limit = f" of at most {said['concurrency']}" if "concurrency" in said else ""
        queued = f" · {said['waiting']} queued" if "waiting" in said else ""
        failed = snapshot.count(*_FAILED)
        good = snapshot.count(TrajectoryStatus.SCORED, TrajectoryStatus.KEPT)
        ended = f" · {good:,} done · {failed:,} failed"
        return f"{snapshot.in_flight} in flight{limit}{queued}{ended}"

    def _show_outcomes(self, snapshot: Snapshot) -> None:
        rows = [(each.status, each.cause or "–", f"{each.count:,}") for each in snapshot.outcomes]
        columns = ("status", "because of", "count")
        drawn = table("conversations", columns, rows, self.palette, flexible=1)
        self.query_one("#outcomes", Static).update(drawn)

    def _show_usage(self, snapshot: Snapshot) -> None:
        rows = [
            (
                each.role,
                short(each.ok),
                short(each.failed),
                short(each.tokens_in + each.tokens_out),
                dollars(each.cost_usd),
            )
            for each in snapshot.usage
        ]
        columns = ("role", "ok", "failed", "tokens", "cost")
        self.query_one("#usage", Static).update(table("LLM calls", columns, rows, self.palette))


def _cost(snapshot: Snapshot) -> str:
    """What is spent, what it will come to, and the limit."""
    said = snapshot.statistics.get("spending", {})
    spent, tokens = said.get("spent_usd"), said.get("spent_tokens")
    parts = []
    if spent is not None:
        projected = said.get("projected_usd")
        of = "" if projected is None else f" of about {dollars(projected)}"
        parts.append(f"{dollars(spent)}{of}")
    if tokens is not None:
        projected = said.get("projected_tokens")
        of = "" if projected is None else f" of about {short(projected)}"
        parts.append(f"{short(tokens)} tokens{of}")
    limits = [
        dollars(said["max_cost_usd"]) if said.get("max_cost_usd") is not None else "",
        f"{short(said['max_tokens'])} tokens" if said.get("max_tokens") is not None else "",
    ]
    if any(limits):
        parts.append("limit " + ", ".join(limit for limit in limits if limit))
    return " · ".join(parts) or "no prices known"
