"""`simia export`: what a run kept, as a data set."""

from pathlib import Path
from typing import Annotated

import typer

from simia_async.cli.output import fail, show
from simia_async.cli.output import report as note
from simia_async.errors import SimiaError
from simia_async.synthesis.export import export as export_run
from simia_async.synthesis.export_format import ExportFormat


def export(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a generate run.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Directory to write into.")],
    form: Annotated[
        ExportFormat, typer.Option("--format", help="What trainers and their tools read.")
    ] = ExportFormat.OPENAI,
) -> None:
    """Write kept trajectories as a data set: the data, a dataset card, LLaMA-Factory's entry."""
    try:
        exported = export_run(path, out, form)
    except SimiaError as error:
        fail(error)
    if exported.left_out:
        kept = exported.count + exported.left_out
        first = exported.reasons[0]
        note(
            f"{exported.left_out} of {kept} left out, which {form} cannot hold; the first: {first}"
        )
    show("exported", f"{exported.count} trajectories to {out / form.file_name}")
