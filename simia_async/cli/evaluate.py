"""`simia eval`."""

from rich.table import Table
from rich.text import Text
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, stdout
from simia_async.config import EvalConfig
from simia_async.evaluation.shares import Share
from simia_async.runs.evaluate import EvalProgress, EvalResult, run_evaluate
from simia_async.runs.record import default_path


@options.takes_settings(EvalConfig)
def evaluate(path: options.Run = None, as_json: AsJson = False, *, config: EvalConfig) -> None:
    """Play held-out tasks with the base and with adapters; count by the world's exact check."""

    async def main() -> EvalResult:
        with progress_bar("evaluate", hidden=as_json) as bar:

            def show(p: EvalProgress) -> None:
                bar.update(p.done, p.total, "conversations")

            place = path or default_path("eval")
            return await run_evaluate(config, place, report=report, on_progress=show)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_scores(result)


def print_scores(result: EvalResult) -> None:
    """The held-out table."""
    table = Table(title=f"{result.tasks} held-out tasks, exact check (95% interval)")
    table.add_column("policy", overflow="fold")
    table.add_column("sampled")
    table.add_column("needs action", justify="right")
    table.add_column("no action", justify="right")
    table.add_column("unfinished", justify="right")
    for score in result.scores:
        table.add_row(
            Text(printable(score.name)),
            score.sampled,
            shown(score.needs_action),
            shown(score.no_action),
            str(score.unfinished),
        )
    stdout.print(table)


def shown(share: Share) -> str:
    """A share with its interval."""
    if not share.total:
        return "no such task"
    low, high = share.interval
    return f"{share.hits}/{share.total} = {share.value:.2f} ({low:.2f}–{high:.2f})"
