"""`simia report`: what a run came to, from its database alone."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from simia_store import Reader, printable, usage_by_role

from simia_async.cli.costs import cost_of, print_cost
from simia_async.cli.curves import curves_of, print_curves
from simia_async.cli.curves_svg import write_svg
from simia_async.cli.output import fail, show, stdout
from simia_async.errors import SimiaError
from simia_async.models import policy_name
from simia_async.synthesis.funnel import Funnel, coverage_of, funnel_of


def report(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a run.")],
    svg: Annotated[
        Path | None,
        typer.Option(metavar="<path>", help="Write a training's curves to this SVG file, and end."),
    ] = None,
) -> None:
    """What a run came to: trajectories by outcome, curves of a training, calls and cost by role,
    adapters.
    """
    try:
        if svg is not None:
            write_svg(path, svg)
            show("curves", svg)
        else:
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
        funnel = funnel_of(reader)
        if run.kind == "generate" or (run.kind == "rollout" and funnel.simulated):
            print_funnel(funnel)
            print_coverage(coverage_of(reader))
        outcomes = Table("trajectories", "because of", "count", title="outcomes", min_width=50)
        for outcome in reader.outcomes():
            outcomes.add_row(outcome.status, outcome.cause, str(outcome.count))
        if outcomes.row_count and run.kind != "generate":
            stdout.print(outcomes)
        print_curves(curves_of(reader), stdout)
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


def print_funnel(funnel: Funnel) -> None:
    """From the seeds that were read, or what was played, to the trajectories that were kept."""
    table = Table("step", "count", "because of", title="funnel", min_width=60)

    def step(name: str, count: int, why: str = "") -> None:
        table.add_row(name, str(count), why)

    if funnel.played:
        step("played", funnel.played)
        step("given a reward", funnel.scored)
        step("good enough to be kept", funnel.simulated)
    else:
        step("seeds read", funnel.seeds_read)
        for cause, count in funnel.seeds_rejected.items():
            step("  not used", count, cause)
        filled = funnel.seeds_reconstructed
        step("seeds used", funnel.seeds_used, f"{filled} reconstructed" if filled else "")
        step("simulated", funnel.simulated)
    for rule, count in funnel.repaired.items():
        step("  repaired", count, rule)
    for cause, count in [*funnel.rejected.items(), *funnel.duplicates.items()]:
        step("  rejected", count, cause)
    step("kept", funnel.kept)
    if funnel.under_way:
        step("under way", funnel.under_way)
    stdout.print(table)


def print_coverage(coverage: dict[str, int]) -> None:
    """How many kept trajectories call each tool."""
    table = Table("tool", "kept trajectories that call it", title="coverage", min_width=60)
    for name, count in coverage.items():
        table.add_row(Text(printable(name)), str(count))
    stdout.print(table)
