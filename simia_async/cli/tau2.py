"""`simia eval tau2` and `simia env import-tau2`."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from simia_store import printable

from simia_async.cli import options
from simia_async.cli.output import (
    AsJson,
    fail,
    print_json,
    progress_bar,
    report,
    run,
    show,
    stdout,
)
from simia_async.config import Tau2Config
from simia_async.environments.tau2_import import import_tau2
from simia_async.errors import SimiaError
from simia_async.evaluation.bootstrap import Estimate
from simia_async.runs.record import default_path
from simia_async.runs.tau2 import Tau2Result, import_results, run_tau2


@options.takes_settings(Tau2Config)
def evaluate_tau2(
    path: options.Run = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Take in this result file of τ²-bench instead of running it."),
    ] = None,
    as_json: AsJson = False,
    *,
    config: Tau2Config,
) -> None:
    """Run the real τ²-bench against a policy, and tell pass^1 to pass^k.

    τ²-bench is installed by you, from its repository. Run the same command with the same --run to
    go on where it was cut off.
    """

    async def main() -> Tau2Result:
        place = path or default_path("tau2")
        if results is not None:
            return await import_results(config, place, results)
        with progress_bar("tau2", hidden=as_json) as bar:

            def show_progress(done: int, tasks: int) -> None:
                bar.update(done, tasks * config.trials, "conversations")

            return await run_tau2(config, place, report=report, on_progress=show_progress)

    result = run(main)
    if as_json:
        print_json(result)
    else:
        print_result(result)


def beside(command: Callable[..., None]) -> typer.Typer:
    """A group that does as `command` does, unless it is told `tau2`."""
    # No setting is called so, unlike `context`.
    asked = inspect.Parameter(
        "typer_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
    )

    def command_or_tau2(*, typer_context: typer.Context, **given: Any) -> None:
        if typer_context.invoked_subcommand is None:
            command(**given)

    command_or_tau2.__doc__ = command.__doc__
    parameters = [asked, *inspect.signature(command).parameters.values()]
    group = typer.Typer()
    group.callback(invoke_without_command=True)(
        options.with_parameters(command_or_tau2, parameters)
    )
    group.command("tau2")(evaluate_tau2)
    return group


def print_result(result: Tau2Result) -> None:
    """pass^k with intervals, and what did not count."""
    title = f"τ²-bench {result.domain}: {result.tasks} tasks, {result.simulations} conversations"
    table = Table(title=f"{printable(title)} (95% interval over tasks)", title_justify="left")
    table.add_column("")
    kinds = ("needs_action", "no_action", "all")
    for kind in kinds:
        first = next((getattr(each, kind) for each in result.pass_k), None)
        table.add_column(f"{kind.replace('_', ' ')}: {first.tasks if first else 0}")
    for each in result.pass_k:
        table.add_row(f"pass^{each.k}", *(_shown(getattr(each, kind)) for kind in kinds))
    stdout.print(table)
    show("policy", result.policy)
    show("user", result.user)
    if result.reward_mean is not None:
        show("reward", f"{result.reward_mean:.3f} on average")
    show("ended", ", ".join(f"{count} {why}" for why, count in result.ended.items()))
    if result.not_run:
        show("not run", f"{result.not_run}: failures of τ²-bench's own, which count as nothing")
    show("results", result.results)
    show("run", result.run)


def _shown(share: Estimate | None) -> str:
    return "" if share is None else f"{share.value:.3f} ({share.low:.3f}–{share.high:.3f})"


def import_environment(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="A domain's directory, or a checkout of τ²-bench's repository."
        ),
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to write.")],
    domain: Annotated[str, typer.Option(help="Which domain of a checkout.")] = "retail",
    tools: Annotated[
        Path | None,
        typer.Option(help="Schemas of its tools, a JSON file. Default: tools.json in SRC."),
    ] = None,
    train_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the tasks to train on, where τ²-bench does not say which.",
        ),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Write an environment of a domain of τ²-bench: train in its simulation, evaluate on the real
    one.
    """
    try:
        imported = import_tau2(
            source, directory, domain=domain, tools=tools, train_share=train_share
        )
    except SimiaError as error:
        fail(error)
    if as_json:
        print_json(imported)
        return
    show("written", f"{directory}: {', '.join(imported.files)}")
    splits = ", ".join(f"{count} {split}" for split, count in imported.tasks.items())
    show("tasks", f"{splits}; {imported.checked} with what code can check")
    if imported.silent:
        show("tools", f"what they do to the state is not known of {', '.join(imported.silent)}")
    if not imported.tasks.get("train"):
        show(
            "note",
            "no task is for training; name a share with --train-share, or make some with "
            "simia tasks synthesize",
        )
    # A bare name may be one of the library.
    place = directory if directory.is_absolute() else f"./{directory}"
    show("next", f"simia env check {place}, then simia rollout --env {place}")
