"""`simia rollout`."""

from pathlib import Path
from typing import Annotated

import typer

from simia_async.cli import options
from simia_async.cli.generate import cost_note
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show
from simia_async.config import RolloutConfig
from simia_async.runs.record import default_path
from simia_async.runs.rollout import run_rollouts
from simia_async.runs.rollout_tally import RolloutProgress, RolloutResult, Solved

Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        help="Database of a run to go on with, with its settings where no flag says otherwise.",
        show_default=False,
    ),
]


@options.takes_settings(RolloutConfig, resume="resume")
def rollout(
    path: options.Run = None,
    resume: Resume = None,
    as_json: AsJson = False,
    *,
    config: RolloutConfig,
) -> None:
    """Play conversations of a policy with the simulated world, and have them judged (Simia-RL).

    Every turn is stored before the next. Run it again on the same database, or with --resume, to go
    on mid-conversation where it was cut off.
    """

    async def main() -> RolloutResult:
        with progress_bar("rollout", hidden=as_json) as bar:

            def show_progress(progress: RolloutProgress) -> None:
                bar.update(progress.done, progress.wanted, _note(progress))

            place = resume or path or default_path("rollout")
            return await run_rollouts(config, place, report=report, on_progress=show_progress)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)
    if result.scored < result.wanted:
        raise typer.Exit(1)


def _note(progress: RolloutProgress) -> str:
    mean = "" if progress.reward_mean is None else f", reward {progress.reward_mean:.3f}"
    unscored = f", {progress.unscored} without" if progress.unscored else ""
    return f"{progress.active} under way{mean}{unscored}{cost_note(progress.spending)}"


def print_result(result: RolloutResult) -> None:
    """What a run of rollouts came to, those without a reward in plain sight."""
    why = ": the budget is spent" if result.budget_spent else ""
    short = "" if result.rollouts == result.wanted else f" of {result.wanted} wanted{why}"
    show("rollouts", f"{result.rollouts}{short}")
    for stop, count in result.stops.most_common():
        show("ended", f"{count} by {stop}")
    without = result.rollouts - result.scored
    mean = "none" if result.reward_mean is None else f"{result.reward_mean:.3f}"
    masked = f", {without} without a reward (masked, not 0)" if without else ""
    show("reward", f"{mean} on average over {result.scored}{masked}")
    _show_solved("needs an action", result.needs_action)
    _show_solved("needs none", result.no_action)
    if result.kept is not None:
        show("kept", f"{result.kept.kept} of {result.kept.considered} good ones, for SFT")
        for rule, count in result.kept.rejected.most_common():
            show("rejected", f"{count} by {rule}")
    if result.spending.spent_usd is not None:
        show("spent", f"${result.spending.spent_usd:.4f}")
    show("run", result.run)


def _show_solved(name: str, solved: Solved) -> None:
    if solved.total:
        share = solved.hits / solved.total
        show("solved", f"{share:.3f} where the task {name} ({solved.hits}/{solved.total})")
