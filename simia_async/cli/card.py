"""`simia card`: one page on a run, for people who were not there."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from simia_async.cli.output import fail
from simia_async.errors import SimiaError
from simia_async.runs.card import run_card


def card(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a run.")],
    evaluations: Annotated[
        list[Path] | None,
        typer.Option("--eval", metavar="<run>", help="Evaluation to tell of too. Repeatable."),
    ] = None,
    meters: Annotated[
        list[Path] | None,
        typer.Option("--meter", metavar="<run>", help="Meter to tell of too. Repeatable."),
    ] = None,
) -> None:
    """One honest page on a run as Markdown: data, simulator, judge, settings, calls and cost,
    training, meters, results with intervals, and limits.
    """
    try:
        page = run_card(path, evaluations or [], meters or [])
    except SimiaError as error:
        fail(error)
    sys.stdout.buffer.write(page.encode(errors="replace"))
    sys.stdout.buffer.flush()
