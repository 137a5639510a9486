"""`simia eval`."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.output import AsJson, print_json, progress_bar, report, run, stdout
from simia_async.config import TINY, Endpoint, EvalConfig
from simia_async.evaluation.shares import Share
from simia_async.runs.evaluate import EvalProgress, EvalResult, run_evaluate
from simia_async.runs.record import default_path


@options.takes_simulator
def evaluate(
    env: options.Env = "mini-retail",
    model: options.Model = TINY,
    adapter: Annotated[
        list[str] | None, typer.Option(help="Adapter to evaluate beside the base; repeatable.")
    ] = None,
    tasks: Annotated[int, typer.Option(help="Held-out tasks.")] = 60,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    max_turns: options.MaxTurns = 14,
    max_tokens: options.MaxTokens = 110,
    context: options.Context = 1024,
    path: options.Run = None,
    seed: options.Seed = 0,
    as_json: AsJson = False,
    *,
    simulator: Endpoint,
) -> None:
    """Play held-out tasks with the base and with adapters; count by the world's exact check."""

    async def main() -> EvalResult:
        config = EvalConfig(
            environment=env,
            model=model,
            adapters=tuple(adapter or ()),
            tasks=tasks,
            temperature=temperature,
            max_turns=max_turns,
            max_tokens=max_tokens,
            context=context,
            seed=seed,
            simulator=simulator,
        )
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
    how = "greedy" if result.temperature == 0 else f"T={result.temperature:g}"
    table = Table(title=f"{result.tasks} held-out tasks, {how}, exact check (95% interval)")
    table.add_column("policy", overflow="fold")
    table.add_column("needs action", justify="right")
    table.add_column("no action", justify="right")
    table.add_column("unfinished", justify="right")
    for score in result.scores:
        table.add_row(
            Text(printable(score.name)),
            _cell(score.needs_action),
            _cell(score.no_action),
            str(score.unfinished),
        )
    stdout.print(table)


def _cell(share: Share) -> str:
    if not share.total:
        return "no such task"
    low, high = share.interval
    return f"{share.hits}/{share.total} = {share.value:.2f} ({low:.2f}–{high:.2f})"
