"""`simia env`: start an environment, check one, list those that ship."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from simia_async.cli.env_prompts import prompt_warnings
from simia_async.cli.output import EXIT_BAD_INPUT, AsJson, fail, print_error, print_json, show
from simia_async.cli.run_lines import size_text
from simia_async.environments.environment import find_directory, library_names, load_environment
from simia_async.environments.inspection import Inspection, inspect, usability
from simia_async.environments.starting import start_environment
from simia_async.environments.state_files import state_path
from simia_async.errors import SimiaError

app = typer.Typer(no_args_is_help=True, help="Environments: start one, check it, list the library.")


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to write.")],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Environment of the library to copy."),
    ] = None,
) -> None:
    """Write an environment to start from: a small, complete example, or a copy with --from."""
    try:
        files = start_environment(directory, source)
    except SimiaError as error:
        fail(error)
    show("written", f"{directory}: {', '.join(files)}")
    show("next", f"edit them, then: simia env check {directory}")


@app.command()
def check(
    place: Annotated[
        str, typer.Argument(metavar="DIR", help="Directory, or a name of the library.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read every file of an environment and tell everything that is wrong at once.

    Exit code 2 if anything is; warnings tell what may be meant, but often is not.
    """
    try:
        seen = inspect(find_directory(place))
    except SimiaError as error:
        fail(error)
    warnings = seen.warnings + prompt_warnings(seen.environment)
    if as_json:
        print_json({**_summary(seen), "problems": seen.problems, "warnings": warnings})
    else:
        for problem in seen.problems:
            print_error(problem)
        for warning in warnings:
            show("warning", warning)
        if not seen.problems:
            _print(_summary(seen))
    if seen.problems:
        raise typer.Exit(EXIT_BAD_INPUT)


def _summary(seen: Inspection) -> dict[str, Any]:
    environment = seen.environment
    state = state_path(environment.directory) if environment.directory else None
    return {
        "environment": environment.name,
        "tools": len(environment.tools),
        "user_tools": len(environment.user_tools),
        "ending_tools": sorted(environment.ending_tools),
        "seeds": Counter(usability(seed) for seed in seen.seeds),
        "tasks": Counter(task.split for task in seen.tasks),
        "state_bytes": state.stat().st_size if state and environment.initial_state else 0,
        "state_schema": environment.state_schema is not None,
        "prompts": sorted(environment.prompts),
    }


def _print(summary: dict[str, Any]) -> None:
    show("sound", summary["environment"])
    ending = ", ".join(summary["ending_tools"]) or "none"
    show("tools", f"{summary['tools']}, ending a conversation: {ending}")
    if summary["user_tools"]:
        show("user tools", summary["user_tools"])
    show("seeds", _counts(summary["seeds"]))
    show("tasks", _counts(summary["tasks"]))
    size = summary["state_bytes"]
    schema = "with a schema" if summary["state_schema"] else "without a schema"
    show("state", f"{size_text(size)}, {schema}" if size else f"none, {schema}")
    show("prompts", ", ".join(summary["prompts"]) or "those that come with simia-async")


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counted.most_common()) or "none"


@app.command("list")
def list_library(as_json: AsJson = False) -> None:
    """The environments that ship with simia-async, a line each."""
    try:
        found = [load_environment(name) for name in library_names()]
    except SimiaError as error:
        fail(error)
    if as_json:
        print_json(
            [{"name": e.name, "description": e.description, "tools": len(e.tools)} for e in found]
        )
        return
    for each in found:
        show(f"{each.name:<12}", f"{len(each.tools):>2} tools  {each.description}")
