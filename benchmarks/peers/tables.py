"""The tables of the peers, as Markdown; every figure is the median of the rounds."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.peers.running import Result


class Column(NamedTuple):
    """One figure of a player."""

    title: str
    value: Callable[[Result], float | None]
    form: str


def turns_of(policy_turns: int) -> int:
    """Turns of a conversation: the policy's, the observations, and the user's around them."""
    return policy_turns + policy_turns // 2 * 2 + 1


def work_columns(conversations: int, turns: int) -> list[Column]:
    """Where answers come at once."""
    thousands = conversations * turns_of(turns) / 1000
    return [
        Column("conversations/s", lambda r: r["completed"] / r["wall_s"], "{:,.1f}"),
        Column("CPU s per 1,000 turns", lambda r: r["cpu_s"] / thousands, "{:.2f}"),
        _LAG,
        _MEMORY,
        Column("CPU to start, s", lambda r: r["start_cpu_s"], "{:.1f}"),
    ]


def waiting_columns() -> list[Column]:
    """Where answers take their time."""
    return [
        Column("conversations/s", lambda r: r["completed"] / r["wall_s"], "{:,.1f}"),
        _WALL,
        _OVER_IDEAL,
        _LAG,
        _MEMORY,
        Column("CPU of one core", lambda r: r["cpu_s"] / r["wall_s"], "{:.0%}"),
    ]


def refusal_columns(conversations: int, turns: int) -> list[Column]:
    """Where a share of requests is refused."""
    calls = turns_of(turns) + 1

    def wasted(result: Result) -> float:
        return result["requests"] + result["refused"] - result["completed"] * calls

    return [
        Column("completed", lambda r: r["completed"] / conversations, "{:.0%}"),
        Column("refused", lambda r: r["refused"], "{:,.0f}"),
        Column("wasted calls", wasted, "{:,.0f}"),
        _WALL,
        _OVER_IDEAL,
        _LAG,
    ]


_LAG = Column(
    "p99 lag, ms", lambda r: None if r["lag_p99_s"] is None else r["lag_p99_s"] * 1000, "{:,.0f}"
)
_MEMORY = Column("peak MB", lambda r: r["peak_mb"], "{:,.0f}")
_WALL = Column("wall, s", lambda r: r["wall_s"], "{:.1f}")
_OVER_IDEAL = Column("of the ideal", lambda r: r["wall_s"] / r["ideal_s"], "{:.2f}×")


def print_table(columns: list[Column], runs: dict[str, list[Result]], failures: list[str]) -> None:
    """A row a player, then what went wrong."""
    ours = next(iter(runs.values()), [])
    print("| |", " | ".join(column.title for column in columns), "| its CPU time is |")
    print("|---" * (len(columns) + 2) + "|")
    for title, results in runs.items():
        cells = [_cell(column, results) for column in columns]
        print("|", " | ".join([title, *cells, _times(ours, results)]), "|", flush=True)
    for failure in failures:
        print(f"\n- {failure}", flush=True)


def _cell(column: Column, results: list[Result]) -> str:
    values = [value for value in map(column.value, results) if value is not None]
    return column.form.format(statistics.median(values)) if values else "no loop"


def _times(ours: list[Result], theirs: list[Result]) -> str:
    """How many times ours it is, round by round: median, least and most."""
    if ours is theirs:
        return ""
    pairs = zip(ours, theirs, strict=False)
    ratios = [their["cpu_s"] / our["cpu_s"] for our, their in pairs]
    if not ratios:
        return ""
    middle = f"{statistics.median(ratios):.1f}×"
    return middle if len(ratios) == 1 else f"{middle} ({min(ratios):.1f}–{max(ratios):.1f})"
