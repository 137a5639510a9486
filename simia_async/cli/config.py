"""`simia config show`, `check` and `init`."""

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from simia_async.cli import options
from simia_async.cli.output import EXIT_BAD_INPUT, AsJson, fail, print_error, print_json, show
from simia_async.config import Endpoint, RunKind
from simia_async.config.document import by_kind, effective, template, to_toml
from simia_async.config.resolve import Resolved, resolve
from simia_async.config.settings import KINDS
from simia_async.config.sources import DEFAULT_FILE, Sources, find_sources
from simia_async.errors import ConfigError, SimiaError, UsageError

app = typer.Typer(no_args_is_help=True, help="Settings: what is in effect, and from where.")

Kind = Annotated[RunKind | None, typer.Option("--kind", help="One kind of run. Default: all.")]


@app.command("show", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def show_settings(
    context: typer.Context,
    kind: Kind = None,
    config_file: options.ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """The settings in effect, as TOML; a comment says where what is not a default comes from.

    With --kind, flags of that command can follow: simia config show --kind rl --lr 1e-4.
    """
    try:
        sources, resolved = _in_effect(kind, config_file, context.args)
    except SimiaError as error:
        fail(error)
    if as_json:
        print_json({name: _with_sources(name, one) for name, one in resolved.items()})
    else:
        typer.echo(to_toml(effective(resolved, sources, os.environ)), nl=False)


def _with_sources(kind: RunKind, resolved: Resolved[Any]) -> dict[str, Any]:
    sections = {
        name: {field: {"value": x.value, "source": x.source} for field, x in section.items()}
        for name, section in by_kind(kind, resolved).items()
    }
    return sections.pop(kind) | sections


def _in_effect(
    kind: RunKind | None, file: Path | None, flags: list[str]
) -> tuple[Sources, dict[RunKind, Resolved[Any]]]:
    if flags and kind is None:
        raise UsageError(f"{flags[0]}: name the kind of run whose flag this is, with --kind")
    stated = options.parse_flags(KINDS[kind], flags) if kind else {}
    sources = find_sources(file, os.environ, stated)
    resolved, problems = _resolve([kind] if kind else list(KINDS), sources)
    if problems:
        more = f" (and {len(problems) - 1} more: simia config check)" if problems[1:] else ""
        raise ConfigError(problems[0] + more)
    return sources, resolved


def _resolve(
    kinds: list[RunKind], sources: Sources
) -> tuple[dict[RunKind, Resolved[Any]], list[str]]:
    resolved: dict[RunKind, Resolved[Any]] = {}
    # Kinds share sections, and so problems; a dict keeps each once, in order.
    problems = dict.fromkeys(sources.problems)
    for kind in kinds:
        try:
            resolved[kind] = resolve(KINDS[kind], sources, os.environ)
        except ConfigError as error:
            problems[str(error)] = None
    return resolved, list(problems)


@app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="Settings file. Default: the one that a run would read."),
    ] = None,
) -> None:
    """Check a settings file and the environment, and tell everything that is wrong at once.

    Also tells whether the variables that hold keys are set; never what they hold.
    """
    sources = find_sources(file, os.environ, {})
    resolved, problems = _resolve(list(KINDS), sources)
    for problem in problems:
        print_error(problem)
    if problems:
        raise typer.Exit(EXIT_BAD_INPUT)
    show("file", sources.file or f"none: there is no {DEFAULT_FILE} here")
    show("variables", ", ".join(given.place for given in sources.layers[1].values()) or "none")
    endpoints = [
        one.config.simulator for kind, one in resolved.items() if kind not in ("sft", "tau2")
    ]
    for state in dict.fromkeys(map(_key, endpoints)):
        show("key", state)
    show("settings", "ok")


def _key(endpoint: Endpoint) -> str:
    name = endpoint.api_key_env
    if endpoint.credential == "entra":
        return "none needed: Microsoft Entra gives a token"
    if not name:
        return "none is sent: api_key_env is empty"
    state = "set" if os.environ.get(name) else "not set"
    needed = "" if endpoint.base_url else " (not needed: the simulator is the embedded one)"
    return f"{name}: {state}{needed}"


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path(DEFAULT_FILE),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a settings file with every setting, described and commented out at its default."""
    try:
        _write(file, template(), overwrite=force)
    except SimiaError as error:
        fail(error)
    show("written", file)


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    """The file appears whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        if overwrite:
            os.replace(partial, path)
        else:
            os.link(partial, path)  # unlike a rename, never over a file that is there
    except FileExistsError:
        raise UsageError(f"{path}: exists already; pass --force to overwrite it") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a usable path"
        raise UsageError(f"{path}: cannot be written: {why}") from None
    finally:
        with contextlib.suppress(OSError, ValueError):
            partial.unlink()
