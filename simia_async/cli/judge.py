"""`simia judge`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.generate import cost_note
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show, stdout
from simia_async.config import JudgeConfig
from simia_async.runs.judge import JudgeProgress, JudgeResult, run_judge


@options.takes_settings(JudgeConfig)
def judge(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="Database of a run.")],
    trajectory: Annotated[
        list[int] | None,
        typer.Option(help="Number of a conversation to judge; repeatable. Default: all."),
    ] = None,
    as_json: AsJson = False,
    *,
    config: JudgeConfig,
) -> None:
    """Judge the stored conversations of a run again: a new scoring, and nothing overwritten.

    Run it again with the same rubric and model to go on where it was cut off.
    """

    async def main() -> JudgeResult:
        with progress_bar("judge", hidden=as_json) as bar:

            def show_progress(progress: JudgeProgress) -> None:
                bar.update(progress.done, progress.wanted, _note(progress))

            return await run_judge(
                config, path, only=trajectory or (), report=report, on_progress=show_progress
            )

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)
    if result.judged < result.wanted:
        raise typer.Exit(1)


def _note(progress: JudgeProgress) -> str:
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"conversations{failed}{cost_note(progress.spending)}"


def print_result(result: JudgeResult) -> None:
    """The scoring, and how it differs from the one before."""
    table = Table(title=f"{result.wanted} conversations", title_justify="left")
    for heading in ("scoring", "judge", "judged", "reward", "up", "down", "same side of ½"):
        table.add_column(heading, justify="left" if heading == "judge" else "right")
    change = result.change
    if change is not None:
        table.add_row(str(change.scoring), "", str(change.both), f"{change.reward_mean:.3f}")
    table.add_row(
        str(result.scoring),
        Text(printable(result.judge or "code alone"), overflow="fold"),
        str(result.judged),
        "" if result.reward_mean is None else f"{result.reward_mean:.3f}",
        *(() if change is None else (str(change.up), str(change.down), f"{change.agreement:.0%}")),
    )
    stdout.print(table)
    if result.failed:
        show("failed", f"{result.failed}; run it again to judge them")
    if result.budget_spent:
        show("left", f"{result.wanted - result.judged - result.failed}: the budget is spent")
    if result.spending.spent_usd is not None:
        show("spent", f"${result.spending.spent_usd:.4f}")
    show("run", result.run)
