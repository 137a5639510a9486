"""What the meters of recorded conversations have in common: the cost is told, and agreed to, before
anything is asked.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from simia_async.cli.output import fail, show, stderr
from simia_async.errors import SimiaError, UsageError
from simia_async.meters.figures import Figure
from simia_async.runs.meter_plan import CostEstimate

P = ParamSpec("P")
R = TypeVar("R")

Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        help="Database of such a run to go on with, with its settings where no flag says "
        "otherwise.",
        show_default=False,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before calls that cost something.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Tell what would be asked and what it would cost; end.")
]


def or_fail(action: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Do it; an error of ours ends the command with its sentence."""
    try:
        return action(*arguments, **options)
    except SimiaError as error:
        fail(error)


def agree_on_cost(estimate: CostEstimate, *, yes: bool, dry_run: bool) -> None:
    """Tell what is going to be asked and what that costs, on standard error; where it costs
    something, ask whether to go on. `dry_run` ends the command.
    """
    stderr.print(f"to ask     {estimate.in_words()}", markup=False, highlight=False, soft_wrap=True)
    if dry_run:
        raise typer.Exit
    if yes or not estimate.cost_usd:
        return
    try:
        agreed = typer.confirm("Go on?", err=True)
    except typer.Abort:
        fail(UsageError("nothing was asked: nobody said yes; --yes says so beforehand"))
    if not agreed:
        show("asked", "nothing")
        raise typer.Exit


def told(figure: Figure, *, percent: bool = True) -> str:
    """A figure with its interval and what it was measured on."""
    if figure.value is None:
        return "–"
    form = "{:.1%}" if percent else "{:.3f}"
    interval = ""
    if figure.low is not None and figure.high is not None:
        low, high = form.format(figure.low), form.format(figure.high)
        interval = f" ({low}–{high})".replace("%", "") if percent else f" ({low} to {high})"
    return f"{form.format(figure.value)}{interval}"
