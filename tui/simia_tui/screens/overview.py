"""1 Overview: how the run stands, what came of its conversations, calls by role, main curves."""

import math
from collections.abc import Callable, Iterator

from rich.text import Text
from simia_store import CommandRecord, TrajectoryStatus
from textual.app import ComposeResult
from textual.containers import Grid, Horizontal, VerticalScroll
from textual.widgets import Static

from simia_tui.feed import Snapshot
from simia_tui.figures import bar, dollars, pairs, per_second, short, table
from simia_tui.pane import Pane
from simia_tui.text import clean_line
from simia_tui.widgets.plot import Curve, Plot
from simia_tui.widgets.status_bar import span
from simia_tui.workers import workers_table

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
_LEAST, _MOST = 8, 14
"""Lines of a plot: where there is room for more, up to so many."""
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
    Overview #workers { margin-top: 1; display: none; }
    Overview #curves { grid-size: 2; grid-rows: 1fr; grid-gutter: 0 2; margin-top: 1; height: 1fr; }
    Overview #curves Plot { height: 100%; }
    """

    def compose(self) -> ComposeResult:
        """Facts, tables, room for plots."""
        with VerticalScroll():
            yield Static(id="facts")
            with Horizontal(id="tables"):
                yield Static(id="outcomes")
                yield Static(id="usage")
            yield Static(id="workers")
            yield Grid(id="curves")

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`."""
        self.query_one("#facts", Static).update(pairs(self._facts(snapshot), self.palette))
        self._show_outcomes(snapshot)
        self._show_usage(snapshot)
        self._show_workers(snapshot)
        # Figures are there at once; plots, which are slow to make, right after them.
        self.call_after_refresh(self._show_curves)

    async def _show_curves(self) -> None:
        grid = self.query_one("#curves", Grid)
        series = self.snapshot.series if self.snapshot else {}
        if not grid.is_attached or not series:
            return
        if not grid.children:
            await grid.mount(*map(Plot, _CURVES))
        # Where the dashboard ends just now, nothing is mounted any more.
        for plot, names in zip(grid.query(Plot), _CURVES.values(), strict=False):
            curves = [Curve(said, series[name]) for name, said in names.items() if name in series]
            plot.display = bool(curves)
            plot.show(curves)
        rows = math.ceil(sum(plot.display for plot in grid.query(Plot)) / 2)
        grid.styles.min_height, grid.styles.max_height = rows * _LEAST, rows * _MOST

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
        if snapshot.command is not None:
            yield "asked last", _command(snapshot.command)

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

    def _show_workers(self, snapshot: Snapshot) -> None:
        drawn = workers_table(snapshot.statistics, self.palette)
        shown = self.query_one("#workers", Static)
        shown.display = drawn is not None
        if drawn is not None:
            shown.update(drawn)


def _command(command: CommandRecord) -> str:
    said = f": {clean_line(command.answer, 300)}" if command.answer else ""
    return f"{clean_line(command.name).replace('_', ' ')} · {command.status}{said}"


def _cost(snapshot: Snapshot) -> str:
    """What is spent, what it will come to, and the limit."""
    said = snapshot.statistics.get("spending", {})
    spent, tokens = said.get("spent_usd"), said.get("spent_tokens")
    parts = []
    if spent is not None:
        of = _of(said.get("projected_usd"), said.get("max_cost_usd"), dollars)
        parts.append(f"{dollars(spent)}{of}")
    if tokens is not None:
        of = _of(said.get("projected_tokens"), said.get("max_tokens"), short)
        parts.append(f"{short(tokens)} tokens{of}")
    return " · ".join(parts) or "no prices known"


def _of(projected: float | None, limit: float | None, written: Callable[[float], str]) -> str:
    of = "" if projected is None else f" of about {written(projected)}"
    return of + ("" if limit is None else f", limit {written(limit)}")
