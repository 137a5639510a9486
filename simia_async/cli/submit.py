"""`simia submit`: the runs of a server, with the flags that they have here."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from simia_async.cli import options, submitted
from simia_async.cli.output import fail, run
from simia_async.cli.submitted import URL, CaFile, Json, Server, TokenFile, tell
from simia_async.config import (
    AgreementConfig,
    EvalConfig,
    FidelityConfig,
    GenerateConfig,
    GrpoConfig,
    JudgeConfig,
    LuckConfig,
    RolloutConfig,
    SftConfig,
    TasksConfig,
)
from simia_async.config.fields import Settings, sections_of
from simia_async.config.resolve import kind_of
from simia_async.config.sources import find_sources
from simia_async.environments.environment import library_names
from simia_async.errors import ConfigError, SimiaError, UsageError
from simia_async.serving.client import RemoteServer, connect
from simia_async.serving.meanings import OWN, Meaning
from simia_async.serving.views import RunView

Wait = Annotated[bool, typer.Option("--wait", help="Until the run has ended.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Submit it once, however often this is called.")
]
_MAYBE_HERE = (Meaning.TASKS, Meaning.TRAINING_DATA)
"""What may be a file here, which is sent, or the name of something on the server."""

app = typer.Typer(no_args_is_help=True, help="Runs of a server: submit, watch, fetch.")


def _adds(name: str, settings: type[Settings], *, about: str = "") -> None:
    """A command that submits runs with these settings; those that are `about` other runs of the
    server name them.
    """

    def submit(
        *,
        server: str = URL,
        token_file: Path | None = None,
        ca: Path | None = None,
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
            async with connect(server, token_file=token_file, ca_file=ca) as remote:
                sent = await _upload(remote, stated)
                runs = [remote.run(number) for number in data or ()]
                made = await remote.submit(kind_of(settings), data=runs, key=key, **sent)
                return await (made.wait() if wait else made.view())

        tell(run(main), as_json=as_json)

    own = [
        _parameter("server", Server, URL),
        _parameter("token_file", TokenFile, None),
        _parameter("ca", CaFile, None),
        _parameter("wait", Wait, False),
        _parameter("key", Key, None),
        _parameter("as_json", Json, False),
    ]
    if about:
        data = Annotated[list[str] | None, typer.Option("--data", metavar="<run>", help=about)]
        own.append(_parameter("data", data, None))
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
    for name, given in stated.items():
        if isinstance(given, tuple):
            sent[name] = [await _send(server, name, each) for each in given]
        elif isinstance(given, str):
            sent[name] = await _send(server, name, given)
    environment = sent.get("environment")
    if environment is not None and environment not in library_names():
        place = Path(environment)
        if place.is_dir():  # noqa: ASYNC240 (once, before anything runs)
            sent["environment"] = await server.send_environment(place)
    return sent


async def _send(server: RemoteServer, name: str, given: Any) -> Any:
    """What a setting is on the server: the name of a file there, if it is one here."""
    meaning = OWN.get(name, Meaning.WORD)
    if meaning is Meaning.FILE or (meaning in _MAYBE_HERE and _is_file(given)):
        path = Path(given)
        return await server.send_file(path.name, _read(path, name))
    return given


def _is_file(given: Any) -> bool:
    return isinstance(given, str) and Path(given).is_file()


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {path} cannot be read: {error.strerror}") from error


_adds("generate", GenerateConfig)
_adds("tasks-synthesize", TasksConfig)
_adds("rollout", RolloutConfig)
_adds("judge", JudgeConfig, about="Run of the server that is judged again, in a copy of it.")
_adds("train-sft", SftConfig, about="Run of the server to learn from; repeatable.")
_adds("train-rl", GrpoConfig)
_adds("eval", EvalConfig)
_adds("meter-luck", LuckConfig, about="Run of the server whose rollouts are replayed.")
_adds("meter-fidelity", FidelityConfig)
_adds("meter-judge", AgreementConfig)
submitted.add_to(app)
