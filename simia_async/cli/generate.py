"""`simia generate` and `simia export`."""

from pathlib import Path
from typing import Annotated

import typer

from simia_async.cli import options
from simia_async.cli.output import AsJson, fail, print_json, progress_bar, report, run, show
from simia_async.clients import SpendingStatistics
from simia_async.config import GenerateConfig
from simia_async.errors import SimiaError
from simia_async.runs.generate import GenerateProgress, GenerateResult, run_generate
from simia_async.runs.record import default_path
from simia_async.synthesis.export import export_jsonl


@options.takes_settings(GenerateConfig)
def generate(
    path: options.Run = None,
    as_json: AsJson = False,
    *,
    config: GenerateConfig,
) -> None:
    """Amplify seed conversations into many (Simia-SFT).

    The simulator writes each as a whole; rules keep the sound ones.
    Run it again on the same database to go on where it was cut off.
    """

    async def main() -> GenerateResult:
        with progress_bar("generate", hidden=as_json) as bar:

            def show(p: GenerateProgress) -> None:
                bar.update(p.kept, p.wanted, f"{p.rejected} rejected{cost_note(p.spending)}")

            place = path or default_path("generate")
            return await run_generate(config, place, report=report, on_progress=show)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result, config.n)
    if result.kept < config.n:
        raise typer.Exit(1)


def print_result(result: GenerateResult, wanted: int) -> None:
    """The funnel in a few lines."""
    left_out = result.seeds_read - result.seeds_used
    note = f", {left_out} left out: reward 0" if left_out else ""
    show("seeds", f"{result.seeds_used} used of {result.seeds_read} read{note}")
    show("simulated", result.simulated)
    for cause, count in result.rejected.most_common():
        show("rejected", f"{count} by {cause}")
    why = "the budget is spent" if result.budget_spent else "the attempts are used up"
    short = "" if result.kept >= wanted else f" of {wanted} wanted: {why}"
    show("kept", f"{result.kept}{short}")
    if result.spending.spent_usd is not None:
        show("spent", _of(result.spending.spent_usd, None, "${:.4f}"))
    show("run", result.run)


def cost_note(spending: SpendingStatistics) -> str:
    """What was spent, and what it will come to: dollars where prices are known, else tokens."""
    if spending.spent_usd is not None:
        return ", " + _of(spending.spent_usd, spending.projected_usd, "${:.2f}")
    return ", " + _of(spending.spent_tokens, spending.projected_tokens, "{:,.0f} tokens")


def _of(spent: float, projected: float | None, form: str) -> str:
    said = form.format(spent)
    return said if projected is None else f"{said} of about {form.format(projected)}"


def export(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a generate run.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="JSONL file to write.")],
) -> None:
    """Write kept trajectories as JSON lines in OpenAI chat format."""
    try:
        count = export_jsonl(path, out)
    except SimiaError as error:
        fail(error)
    show("exported", f"{count} trajectories to {out}")
