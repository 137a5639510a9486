"""`simia generate`."""

import typer

from simia_async.cli import options
from simia_async.cli.output import (
    AsJson,
    Bar,
    print_json,
    progress_bar,
    report,
    run,
    show,
)
from simia_async.clients import SpendingStatistics
from simia_async.config import GenerateConfig
from simia_async.runs.generate import GenerateProgress, GenerateResult, run_generate
from simia_async.runs.record import default_path


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
            place = path or default_path("generate")
            return await run_generate(
                config, place, report=report, on_progress=lambda p: show_progress(bar, p)
            )

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result, config.n)
    if result.kept < config.n:
        raise typer.Exit(1)


def show_progress(bar: Bar, progress: GenerateProgress) -> None:
    """Seeds as long as they are reviewed, then kept trajectories."""
    cost = cost_note(progress.spending)
    if progress.reviewing:
        bar.update(progress.reviewed, progress.seeds, f"seeds reviewed{cost}")
    else:
        bar.update(progress.kept, progress.wanted, f"{progress.rejected} rejected{cost}")


def print_result(result: GenerateResult, wanted: int) -> None:
    """The funnel in a few lines."""
    left_out = "".join(f", {n} {cause}" for cause, n in result.seeds_rejected.most_common())
    show("seeds", f"{result.seeds_used} used of {result.seeds_read} read{left_out}")
    show("simulated", result.simulated)
    for rule, count in result.repaired.most_common():
        show("repaired", f"{count} by {rule}")
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
