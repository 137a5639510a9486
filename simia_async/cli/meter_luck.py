"""`simia meter luck`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from simia_store import Reader, printable

from simia_async.cli import options
from simia_async.cli.generate import cost_note
from simia_async.cli.meter_common import Resume
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, show, stdout
from simia_async.config import LuckConfig
from simia_async.errors import UsageError
from simia_async.evaluation.variance import FEWEST_TASKS, Component
from simia_async.runs.luck import run_luck
from simia_async.runs.luck_recordings import source_of
from simia_async.runs.luck_replays import LuckProgress
from simia_async.runs.luck_result import LuckResult, TaskLuck
from simia_async.runs.record import default_path

_SHOWN = 12
"""Tasks that are shown, the luckiest first."""

Rollouts = Annotated[
    Path | None,
    typer.Option(
        "--rollouts",
        help="Database of a run whose rollouts are replayed, with its world and its models where "
        "no flag says otherwise. Default: some are played first, beside the run.",
        show_default=False,
    ),
]


@options.takes_settings(LuckConfig, resume="resume", like="rollouts")
def luck(
    rollouts: Rollouts = None,
    path: options.Run = None,
    resume: Resume = None,
    as_json: AsJson = False,
    *,
    config: LuckConfig,
) -> None:
    """How much of the reward is the world's luck.

    Rollouts are replayed, action for action, each time in a world that is asked anew, and every
    replay is judged several times: what still differs is not the policy's doing. What it will cost
    is told before it begins. Run it again on the same database, or with --resume, to go on where
    it was cut off.
    """

    async def main() -> LuckResult:
        place = resume or path or default_path("luck")
        source = rollouts if resume is None else _source(resume)
        with progress_bar("meter luck", hidden=as_json) as bar:

            def show_progress(p: LuckProgress) -> None:
                bar.update(p.done, p.wanted, f"{p.doing}{cost_note(p.spending)}")

            return await run_luck(
                config, place, rollouts=source, report=report, on_progress=show_progress
            )

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)
    if result.replayed < result.wanted:
        raise typer.Exit(1)


def _source(path: Path) -> Path:
    """What the run at `path` replays."""
    with Reader(path) as reader:
        source = source_of(reader.run())
    if source is None:
        raise UsageError(f"{path}: cannot be resumed: no replays were begun there")
    return source


def print_result(result: LuckResult) -> None:
    """Shares over all, then the tasks that luck decides most."""
    variance, tasks = result.variance, len(result.tasks)
    show("replays", f"{result.replayed} of {result.wanted}, of {variance.rollouts} rollouts")
    played = "–" if result.reward_played is None else f"{result.reward_played:.3f}"
    show("reward", f"{played} as played, {result.reward_replayed:.3f} replayed")
    table = Table(title=f"reward variance within {tasks} tasks", title_justify="left")
    for heading in ("due to", "variance", "share", "interval"):
        table.add_column(heading, justify="left" if heading == "due to" else "right")
    knows_shares = variance.policy is not None
    if variance.policy is not None:
        table.add_row("the policy", *_cells(variance.policy))
    else:
        table.add_row("the policy", "–", "–", "no task has two rollouts")
    is_parted = variance.judge is not None or not result.judgings
    name = "the world" if is_parted else "the world and the judge"
    table.add_row(name, *_cells(variance.world, knows_shares=knows_shares))
    if variance.judge is not None:
        table.add_row("the judge", *_cells(variance.judge, knows_shares=knows_shares))
    elif not result.judgings:
        table.add_row("the judge", "0", "0%", "code alone judges")
    stdout.print(table)
    if variance.world.share is not None and variance.world.low is None:
        show("intervals", f"none: they need at least {FEWEST_TASKS} tasks whose rewards vary")
    _print_tasks(result.tasks)
    if result.budget_spent:
        show("left", f"{result.wanted - result.replayed}: the budget is spent")
    elif result.replayed < result.wanted:
        show("failed", f"{result.wanted - result.replayed}; run it again to replay them")
    if result.spending.spent_usd is not None:
        show("spent", f"${result.spending.spent_usd:.4f}")
    show("rollouts", result.rollouts)
    show("run", result.run)


def _cells(part: Component, *, knows_shares: bool = True) -> tuple[str, str, str]:
    raw = f"{part.variance:.4f}" if part.raw >= 0 else f"0 ({part.raw:.4f})"
    unknown = "nothing varies" if knows_shares else "–"
    share = unknown if part.share is None else f"{part.share:.0%}"
    interval = ""
    if part.low is not None and part.high is not None:
        interval = f"{part.low:.0%} to {part.high:.0%}"
    return raw, share, interval


def _print_tasks(tasks: list[TaskLuck]) -> None:
    lucky = sorted(
        (task for task in tasks if task.world_share >= 0.005), key=lambda task: -task.world_share
    )
    if not lucky:
        return
    title = "the tasks that luck decides most" if len(lucky) > _SHOWN else "tasks with luck"
    table = Table(title=title, title_justify="left")
    for heading in ("task", "world", "policy", "judge", "played", "replayed"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    for task in lucky[:_SHOWN]:
        parts = task.variance
        table.add_row(
            Text(printable(task.task_id), overflow="fold"),
            *(_share(part) for part in (parts.world, parts.policy, parts.judge)),
            "–" if task.reward_played is None else f"{task.reward_played:.2f}",
            f"{task.reward_replayed:.2f}",
        )
    stdout.print(table)


def _share(part: Component | None) -> str:
    return "" if part is None or part.share is None else f"{part.share:.0%}"
