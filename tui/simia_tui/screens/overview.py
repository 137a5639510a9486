"""Overview: how the run stands, what came of its trajectories, calls by role, curves."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text
from simia_store import RunStatus, printable
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Sparkline, Static

from simia_tui.feed import SERIES, Snapshot


class Overview(VerticalScroll):
    """Draws one snapshot after another."""

    DEFAULT_CSS = """
    Overview { padding: 0 1; }
    Overview #tables { height: auto; margin-top: 1; }
    Overview #endpoints { height: auto; }
    Overview #tables Static { width: 1fr; height: auto; }
    Overview .curve { height: 3; margin-top: 1; }
    Overview .curve Static { width: 34; }
    Overview .curve Sparkline { width: 1fr; height: 2; }
    """

    def compose(self) -> ComposeResult:
        """Headline, tables, one row a curve."""
        yield Static("waiting for the run's first line…", id="headline")
        with Horizontal(id="tables"):
            yield Static(id="outcomes")
            yield Static(id="usage")
        yield Static(id="endpoints")
        for name in SERIES:
            with Horizontal(classes="curve", id=_widget_id(name)) as row:
                row.display = False
                yield Static()
                yield Sparkline([])

    def show(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`."""
        self.query_one("#headline", Static).update(_headline(snapshot))
        self.query_one("#outcomes", Static).update(_outcomes(snapshot))
        self.query_one("#usage", Static).update(_usage(snapshot))
        self.query_one("#endpoints", Static).update(_endpoints(snapshot))
        for name, values in snapshot.series.items():
            row = self.query_one(f"#{_widget_id(name)}", Horizontal)
            row.display = True
            # A sparkline is drawn from its least value to its greatest: say which those are.
            label = f"{SERIES[name]}\n{values[-1]:.4g} ({min(values):.4g}–{max(values):.4g})"
            row.query_one(Static).update(Text(label))
            row.query_one(Sparkline).data = values


def _widget_id(metric: str) -> str:
    return metric.replace("/", "-")


def _headline(snapshot: Snapshot) -> Text:
    """One line, as text: what a run's failure quotes may hold markup, which is shown as it is."""
    run = snapshot.run
    if run is None:
        return Text("waiting for the run's first line…")
    line = Text(f"{run.kind} run · {run.status} · {snapshot.age_s:.0f} s", style="bold")
    line.append(f" · {snapshot.in_flight} in flight · {snapshot.adapters} adapters", style="")
    spent = snapshot.statistics.get("spending", {})
    if spent.get("spent_usd") is not None:
        line.append(f" · ${spent['spent_usd']:.2f}", style="")
        if spent.get("projected_usd") is not None:
            line.append(f" of about ${spent['projected_usd']:.2f}", style="")
    if run.reason:
        stopped = run.status == RunStatus.STOPPED
        mark, style = ("■", "yellow") if stopped else ("✗", "red")
        line.append(f"\n{mark} {printable(run.reason)}", style=style)
    return line


def _outcomes(snapshot: Snapshot) -> Table:
    table = Table(title="trajectories", title_justify="left", expand=True, box=SIMPLE_HEAD)
    for column in ("status", "because of"):
        table.add_column(column)
    table.add_column("count", justify="right")
    for outcome in snapshot.outcomes:
        table.add_row(Text(outcome.status), Text(outcome.cause), str(outcome.count))
    return table


def _usage(snapshot: Snapshot) -> Table:
    table = Table(title="LLM calls", title_justify="left", expand=True, box=SIMPLE_HEAD)
    table.add_column("role")
    for column in ("ok", "failed", "tokens", "USD"):
        table.add_column(column, justify="right")
    for usage in snapshot.usage:
        tokens = f"{(usage.tokens_in + usage.tokens_out) / 1000:.0f}k"
        cost = "–" if usage.cost_usd is None else f"{usage.cost_usd:.2f}"
        table.add_row(usage.role, str(usage.ok), str(usage.failed), tokens, cost)
    return table


def _endpoints(snapshot: Snapshot) -> Table:
    """What each governor lets through, and what holds the rest back."""
    table = Table(title="endpoints", title_justify="left", expand=True, box=SIMPLE_HEAD)
    table.add_column("for")
    for column in ("in flight", "waiting", "quota left a minute", "429", "down", "latency"):
        table.add_column(column, justify="right")
    for source, said in snapshot.statistics.items():
        if "breaker" not in said:
            continue
        table.add_row(
            Text(source),
            f"{said['in_flight']} of {said['window']:.0f}",
            str(said["waiting"]),
            _quota(said),
            str(said["rate_limited"]),
            "no" if said["breaker"] == "closed" else str(said["breaker"]),
            f"{said['latency_s']:.2f} s",
        )
    return table


def _quota(said: dict[str, Any]) -> str:
    """Requests and tokens that are left, of how many a minute."""
    parts = [
        f"{said[f'{unit}_left']:.0f}/{said[f'{unit}_per_minute']:.0f} {unit}"
        for unit in ("requests", "tokens")
        if said[f"{unit}_per_minute"] is not None
    ]
    return ", ".join(parts) or "no limit known"
