"""`simia report`: what a run came to, from its database alone."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from simia_store import Reader, usage_by_role

from simia_async.cli.costs import cost_of, print_cost
from simia_async.cli.output import fail, show, stdout
from simia_async.errors import SimiaError
from simia_async.models import policy_name


def report(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a run.")],
) -> None:
    """What a run came to: trajectories by outcome, calls and cost by role, adapters."""
    try:
        print_report(path)
    except SimiaError as error:
        fail(error)


def print_report(path: Path) -> None:
    """Print the report. Raises `StoreError` if there is no such run."""
    with Reader(path) as reader:
        run = reader.run()
        if run is None:
            stdout.print("nothing was written yet")
            return
        ended = f": {run.reason}" if run.reason else ""
        show("run", f"{run.kind}, {run.status}{ended}")
        outcomes = Table("trajectories", "because of", "count", title="outcomes", min_width=50)
        for outcome in reader.outcomes():
            outcomes.add_row(outcome.status, outcome.cause, str(outcome.count))
        if outcomes.row_count:
            stdout.print(outcomes)
        calls = Table("role", "ok", "failed", "tokens in", "tokens out", "USD", title="LLM calls")
        for usage in usage_by_role(reader.usage()):
            usd = "–" if usage.cost_usd is None else f"{usage.cost_usd:.2f}"
            counted = (usage.ok, usage.failed, usage.tokens_in, usage.tokens_out)
            calls.add_row(usage.role, *map(str, counted), usd)
        if calls.row_count:
            stdout.print(calls)
        print_cost(cost_of(reader))
        for adapter in reader.adapters():
            show(policy_name(adapter.version), adapter.path)
