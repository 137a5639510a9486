"""`simia report`: what a run came to, from its database alone."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from simia_store import Reader

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
        for (status, cause), count in reader.count_trajectories().items():
            outcomes.add_row(status, cause, str(count))
        if outcomes.row_count:
            stdout.print(outcomes)
        calls = Table("role", "ok", "failed", "tokens in", "tokens out", "USD", title="LLM calls")
        for role, good, bad, tokens_in, tokens_out, cost in reader.usage():
            usd = "–" if cost is None else f"{cost:.2f}"
            calls.add_row(role, str(good), str(bad), str(tokens_in), str(tokens_out), usd)
        if calls.row_count:
            stdout.print(calls)
        for adapter in reader.adapters():
            show(policy_name(adapter.version), adapter.path)
