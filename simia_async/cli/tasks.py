"""`simia tasks`: tasks for RL, made from what a user has."""

from pathlib import Path
from typing import Annotated

import typer

from simia_async.cli import options
from simia_async.cli.generate import cost_note
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show
from simia_async.config import TasksConfig
from simia_async.runs.record import default_path
from simia_async.runs.tasks import TasksResult, run_tasks

app = typer.Typer(no_args_is_help=True, help="Tasks for RL.")


@app.command("synthesize")
@options.takes_settings(TasksConfig)
def synthesize(
    out: Annotated[
        Path, typer.Option("-o", "--out", help="JSONL file to write; tasks.jsonl of --env, say.")
    ],
    path: options.Run = None,
    as_json: AsJson = False,
    *,
    config: TasksConfig,
) -> None:
    """Make a task of each seed, and of what a run kept.

    The simulator writes scenario, goal, initial state and rubric; the conversation is the
    reference. Tasks of one seed are all held out, or none is.
    Run it again with the same --run to go on where it was cut off; tasks that stand in the file
    stay as they are there.
    """

    async def main() -> TasksResult:
        with progress_bar("tasks", hidden=as_json) as bar:
            return await run_tasks(
                config, path or default_path("tasks"), out, report=report, on_progress=bar.update
            )

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)
    if result.failed or result.budget_spent or not result.train:
        raise typer.Exit(1)


def print_result(result: TasksResult) -> None:
    """What came of it in a few lines."""
    left_out = "".join(f", {n} {cause}" for cause, n in result.seeds_rejected.most_common())
    show("seeds", f"{result.seeds_used} used of {result.seeds_read} read{left_out}")
    if result.trajectories:
        show("besides", f"{result.trajectories} kept trajectories")
    show("tasks", f"{result.train} train, {result.heldout} held out")
    if result.failed:
        show("failed", f"{result.failed}; run it again on {result.run} to ask for them again")
    if result.budget_spent:
        show("stopped", "the budget is spent")
    show("spent", cost_note(result.spending).removeprefix(", "))
    show("written", result.out or "nothing, for no task was made")
    show("run", result.run)
