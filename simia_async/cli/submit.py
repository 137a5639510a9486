"""`simia submit`: the runs of a server, with the flags that they have here."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from simia_async.cli import options
from simia_async.cli.output import fail, print_json, run, show
from simia_async.config import EvalConfig, GenerateConfig, GrpoConfig, RolloutConfig, SftConfig
from simia_async.config.fields import Settings, sections_of
from simia_async.config.resolve import kind_of
from simia_async.config.sources import find_sources
from simia_async.environments.environment import library_names
from simia_async.errors import ConfigError, SimiaError, UsageError
from simia_async.serving.client import RemoteServer, connect
from simia_async.serving.jobs import JobState
from simia_async.serving.views import RunView

Server = Annotated[str, typer.Option("--server", help="URL of the server.")]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with its token. Default: $SIMIA_SERVER_TOKEN."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Until the run has ended.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Submit it once, however often this is called.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the run as JSON, nothing else.")]
DataRuns = Annotated[
    list[str] | None,
    typer.Option("--data", help="Run of the server to learn from; repeatable."),
]
_URL = "http://127.0.0.1:8600"
_FILES = ("seeds", "tasks_file", "rubric")

app = typer.Typer(no_args_is_help=True, help="Submit a run to a server (simia serve).")


def _adds(name: str, settings: type[Settings], *, learns: bool = False) -> None:
    """A command that submits runs with these settings."""

    def submit(
        *,
        server: str = _URL,
        token_file: Path | None = None,
        wait: bool = False,
        key: str | None = None,
        as_json: bool = False,
        data: list[str] | None = None,
        config_file: Path | None = None,
        **given: Any,
    ) -> None:
        try:
            stated = _stated(settings, given, config_file)
        except SimiaError as error:
            fail(error)

        async def main() -> RunView:
            async with connect(server, token_file=token_file) as remote:
                sent = await _upload(remote, stated)
                runs = [remote.run(number) for number in data or ()]
                submitted = await remote.submit(kind_of(settings), data=runs, key=key, **sent)
                return await (submitted.wait() if wait else submitted.view())

        _tell(run(main), as_json)

    own = [
        _parameter("server", Server, _URL),
        _parameter("token_file", TokenFile, None),
        _parameter("wait", Wait, False),
        _parameter("key", Key, None),
        _parameter("as_json", Json, False),
    ]
    if learns:
        own.append(_parameter("data", DataRuns, None))
    command = options.with_parameters(submit, [*options.flag_parameters(settings), *own])
    command.__doc__ = f"Submit a run of `simia {name.replace('-', ' ')}`; its flags are the same."
    app.command(name)(command)


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _stated(settings: type[Settings], given: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """What flags say, and a file that is named here; the rest is the server's. Raises
    `ConfigError`.
    """
    layers = [options.take_flags(settings, given)]
    if file is not None:
        sources = find_sources(file, {}, {})
        if sources.problems:
            raise ConfigError(sources.problems[0])
        layers.insert(0, sources.layers[0])
    kind = kind_of(settings)
    stated: dict[str, Any] = {}
    for layer in layers:
        shared = {key: each for key, each in layer.items() if key[0] in sections_of(settings)}
        own = {key[1:]: each for key, each in layer.items() if key[0] == kind}
        for key, each in [*shared.items(), *own.items()]:
            inner = stated
            for name in key[:-1]:
                inner = inner.setdefault(name, {})
            inner[key[-1]] = each.value
    return stated


async def _upload(server: RemoteServer, stated: dict[str, Any]) -> dict[str, Any]:
    """The settings with files that are here sent, and named as they are there."""
    sent = dict(stated)
    for name in _FILES:
        if name in sent:
            path = Path(sent[name])
            content = _read(path, name)
            sent[name] = await server.send_file(path.name, content)
    environment = sent.get("environment")
    if environment is not None and environment not in library_names():
        place = Path(environment)
        if place.is_dir():  # noqa: ASYNC240 (once, before anything runs)
            sent["environment"] = await server.send_environment(place)
    return sent


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {path} cannot be read: {error.strerror}") from error


def _tell(view: RunView, as_json: bool) -> None:
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


_adds("generate", GenerateConfig)
_adds("rollout", RolloutConfig)
_adds("train-sft", SftConfig, learns=True)
_adds("train-rl", GrpoConfig)
_adds("eval", EvalConfig)
