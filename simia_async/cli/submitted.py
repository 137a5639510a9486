"""Runs of a server after they were submitted: listed, shown, stopped, fetched."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from simia_async.cli.output import print_json, run, show
from simia_async.serving.client import RemoteRun, RemoteServer, connect
from simia_async.serving.jobs import JobState
from simia_async.serving.views import RunView
from simia_async.synthesis.export_format import ExportFormat

URL = "http://127.0.0.1:8600"
Server = Annotated[str, typer.Option("--server", help="URL of the server.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with its token. Default: $SIMIA_SERVER_TOKEN."),
]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificates to trust besides the system's, PEM."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the run as JSON, nothing else.")]
_Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run of the server.")]

R = TypeVar("R")


def tell(view: RunView, *, as_json: bool) -> None:
    """What a run has come to; one that did not end well is an exit code of 1."""
    if as_json:
        print_json(view)
    else:
        show("run", view.id)
        show("state", view.state)
        for tally in view.trajectories:
            show(tally.status, f"{tally.count} {tally.cause}".strip())
        for adapter in view.adapters:
            show("adapter", adapter)
        if view.problem:
            show("problem", view.problem)
    if view.state in (JobState.FAILED, JobState.STOPPED):
        raise typer.Exit(1)


def list_runs(
    server: Server = URL,
    token_file: TokenFile = None,
    ca: CaFile = None,
    as_json: Json = False,
) -> None:
    """All runs of the server, the newest first."""

    async def ask(remote: RemoteServer) -> list[RunView]:
        return await remote.runs()

    runs = _with(server, token_file, ca, ask)
    if as_json:
        print_json(runs)
    else:
        for view in runs:
            show(view.state, f"{view.id}{f': {view.problem}' if view.problem else ''}")


def show_run(
    number: _Run,
    server: Server = URL,
    token_file: TokenFile = None,
    ca: CaFile = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until the run has ended.")] = False,
    as_json: Json = False,
) -> None:
    """How a run stands, and what it has come to."""

    async def ask(remote: RemoteServer) -> RunView:
        named = remote.run(number)
        return await (named.wait() if wait else named.view())

    tell(_with(server, token_file, ca, ask), as_json=as_json)


def stop(
    number: _Run, server: Server = URL, token_file: TokenFile = None, ca: CaFile = None
) -> None:
    """End a run; what it committed stays."""
    _of_run(server, token_file, ca, number, RemoteRun.stop)
    show("stopping", number)


def delete(
    number: _Run, server: Server = URL, token_file: TokenFile = None, ca: CaFile = None
) -> None:
    """Remove a run that is over, with all that it made."""
    _of_run(server, token_file, ca, number, RemoteRun.delete)
    show("deleted", number)


def log(
    number: _Run, server: Server = URL, token_file: TokenFile = None, ca: CaFile = None
) -> None:
    """The last that a run's processes said."""
    sys.stdout.write(_of_run(server, token_file, ca, number, RemoteRun.log))


def fetch(
    number: _Run,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")],
    server: Server = URL,
    token_file: TokenFile = None,
    ca: CaFile = None,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="The tasks that it made, instead of its record.")
    ] = False,
) -> None:
    """The record of a run as it is now: a database for simia report, show, export, simia-tui."""

    async def ask(named: RemoteRun) -> None:
        await (named.tasks(out) if tasks else named.download(out))

    _of_run(server, token_file, ca, number, ask)
    show("written", out)


def export(
    number: _Run,
    out: Annotated[Path, typer.Option("-o", "--out", help="New directory to write into.")],
    form: Annotated[
        ExportFormat, typer.Option("--format", help="What trainers and their tools read.")
    ] = ExportFormat.OPENAI,
    server: Server = URL,
    token_file: TokenFile = None,
    ca: CaFile = None,
) -> None:
    """What a run kept, as a data set: the server writes it as `simia export` does."""

    async def ask(named: RemoteRun) -> None:
        await named.export(out, form)

    _of_run(server, token_file, ca, number, ask)
    show("exported", f"to {out / form.file_name}")


def adapter(
    name: Annotated[str, typer.Argument(metavar="RUN/VERSION", help="Such as RUN/v00001.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New directory to write into.")],
    server: Server = URL,
    token_file: TokenFile = None,
    ca: CaFile = None,
) -> None:
    """An adapter that a run published."""
    number, _, version = name.partition("/")

    async def ask(named: RemoteRun) -> None:
        await named.adapter(version, out)

    _of_run(server, token_file, ca, number, ask)
    show("written", out)


def card(
    number: _Run,
    server: Server = URL,
    token_file: TokenFile = None,
    ca: CaFile = None,
    evaluations: Annotated[
        list[str] | None,
        typer.Option("--eval", metavar="<run>", help="Evaluation to tell of too. Repeatable."),
    ] = None,
    meters: Annotated[
        list[str] | None,
        typer.Option("--meter", metavar="<run>", help="Meter to tell of too. Repeatable."),
    ] = None,
) -> None:
    """One page on a run as Markdown, as `simia card` writes it."""

    async def ask(named: RemoteRun) -> str:
        return await named.card(evaluations or (), meters or ())

    sys.stdout.buffer.write(_of_run(server, token_file, ca, number, ask).encode())
    sys.stdout.buffer.flush()


def _of_run(
    server: str,
    token_file: Path | None,
    ca: Path | None,
    number: str,
    ask: Callable[[RemoteRun], Awaitable[R]],
) -> R:
    return _with(server, token_file, ca, lambda remote: ask(remote.run(number)))


def _with(
    server: str,
    token_file: Path | None,
    ca: Path | None,
    ask: Callable[[RemoteServer], Awaitable[R]],
) -> R:
    async def main() -> R:
        async with connect(server, token_file=token_file, ca_file=ca) as remote:
            return await ask(remote)

    return run(main)


def add_to(app: typer.Typer) -> None:
    """The commands beside those that submit."""
    app.command("list")(list_runs)
    app.command("show")(show_run)
    app.command("stop")(stop)
    app.command("delete")(delete)
    app.command("log")(log)
    app.command("fetch")(fetch)
    app.command("export")(export)
    app.command("adapter")(adapter)
    app.command("card")(card)
