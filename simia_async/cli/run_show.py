"""All that `simia runs show` tells of one run, and how it looks."""

from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text
from simia_store import (
    AdapterRecord,
    CallRecord,
    CommandRecord,
    OutcomeCount,
    Reader,
    RunRecord,
    SessionRecord,
    Standing,
    StatisticsRecord,
    UsageCount,
    is_alive,
    printable,
    standing,
)

from simia_async.cli.costs import RunCost, cost_of, print_cost
from simia_async.cli.output import show, stdout
from simia_async.cli.run_lines import local_time
from simia_async.runs.own_settings import own_settings

_FAILED_CALLS = 5


class RunView(msgspec.Struct, frozen=True):
    """A run, at a cost that does not grow with it."""

    path: Path
    status: Standing
    run: RunRecord | None
    sessions: list[SessionRecord]
    rows: dict[str, int]
    outcomes: list[OutcomeCount]
    usage: list[UsageCount]
    cost: RunCost
    statistics: list[StatisticsRecord]
    adapters: list[AdapterRecord]
    failed_calls: list[CallRecord]
    """The last ones, newest first."""
    commands: list[CommandRecord]


def view(path: Path) -> RunView:
    """Read what is to be shown. Raises `StoreError` if there is no such run."""
    with Reader(path) as reader:
        run, sessions = reader.run(), reader.sessions()
        return RunView(
            path=path,
            status=standing(run, sessions),
            run=run,
            sessions=sessions,
            rows=reader.row_counts(),
            outcomes=reader.outcomes(),
            usage=reader.usage(),
            cost=cost_of(reader),
            statistics=reader.statistics(),
            adapters=reader.adapters(),
            failed_calls=reader.failed_calls(_FAILED_CALLS),
            commands=reader.commands(),
        )


def print_view(seen: RunView) -> None:
    """Print it. What comes from the database is text, never markup."""
    show("run", seen.path)
    show("status", seen.status)
    if seen.run is not None:
        _print_run(seen.run)
    for session in seen.sessions:
        show("session", _session(session))
    show("rows", ", ".join(f"{count} {name}" for name, count in seen.rows.items() if count))
    _print_table(
        "outcomes",
        ("trajectories", "because of", "count"),
        [(o.status, o.cause, o.count) for o in seen.outcomes],
    )
    _print_table(
        "LLM calls",
        ("role", "endpoint", "model", "status", "calls", "tokens in", "tokens out", "USD"),
        [
            (u.role, u.endpoint, u.model, u.status, u.calls, u.tokens_in, u.tokens_out, _usd(u))
            for u in seen.usage
        ],
    )
    print_cost(seen.cost)
    for sample in seen.statistics:
        show("statistics", f"{sample.source}: {_json(sample.sample)}")
    for adapter in seen.adapters:
        gone = "" if Path(adapter.path).is_dir() else " (no longer there)"
        show("adapter", f"{adapter.version}: {adapter.path}{gone}")
    for call in seen.failed_calls:
        what = f"{call.role} at {call.endpoint}, attempt {call.attempt}: {call.status}"
        show("failed", f"{local_time(call.created_at)} {what}: {call.error or 'no reason given'}")
    for command in seen.commands:
        answer = f": {command.answer}" if command.answer else ""
        what = f"{command.name} {_json(command.arguments)}" if command.arguments else command.name
        show("command", f"{local_time(command.created_at)} {what} → {command.status}{answer}")


def _print_run(run: RunRecord) -> None:
    if run.reason:
        show("reason", run.reason)
    show("kind", run.kind)
    show("started", local_time(run.started_at))
    if run.finished_at is not None:
        show("finished", local_time(run.finished_at))
    values, others_are_defaults = own_settings(run)
    for name, value in values.items():
        show("setting", f"{name} = {_json(value)}")
    if others_are_defaults:
        show("setting", "all others are the defaults of this version; --json tells them")


def _session(session: SessionRecord) -> str:
    who = f"{session.id}: pid {session.pid} on {session.host}, simia-async {session.version}"
    if session.ended_at is not None:
        end = f"to {local_time(session.ended_at)}"
    elif is_alive(session):
        end = "and goes on"
    else:
        end = f"cut off after {local_time(session.beat_at)}"
    return f"{who}, from {local_time(session.started_at)} {end}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _usd(usage: UsageCount) -> str:
    return f"{usage.cost_usd:.4f}" if usage.priced else "–"


def _print_table(title: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column, value in zip(columns, rows[0], strict=True):
        table.add_column(
            column, justify="right" if isinstance(value, int) else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(str(value))) for value in row))
    stdout.print(table)
