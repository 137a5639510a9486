"""Options that several commands share. Those of settings are made from the Structs."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from simia_store import Reader

from simia_async.cli.output import fail
from simia_async.config import PlayConfig, configure, keywords_layer
from simia_async.config.fields import BadSetting, Field, Settings, fields_of, sections_of
from simia_async.config.resolve import kind_of
from simia_async.config.sources import Given, Layer
from simia_async.errors import ConfigError, SimiaError, UsageError

Run = Annotated[
    Path | None, typer.Option("--run", help="Database of the run. Default: runs/<kind>-<time>.db.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Directory of adapters. Default: beside the run.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Settings file. Default: what SIMIA_CONFIG names, else simia.toml if it is here.",
        show_default=False,
    ),
]

_PANELS = {
    "simulator": "Simulator",
    "policy": "Policy's endpoint",
    "user_endpoint": "User's endpoint",
    "tool_endpoint": "Tools' endpoint",
    "judge_endpoint": "Judge's endpoint",
    "audit_endpoint": "Hidden judge's endpoint",
    "budget": "Budget",
    "store": "Store",
}
_METAVARS = {str: "<text>", int: "<int>", float: "<number>"}

C = TypeVar("C", bound=Settings)


def takes_settings(
    settings: type[C], *, resume: str | None = None, like: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of `settings`, and the settings themselves as `config`.

    What no flag says, `SIMIA_*` variables and the settings file do. Where the parameter `resume`
    names the database of a run, that run's settings are stronger than those; where `like` names
    one of whatever kind, those that both have are.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = dict(inspect.signature(command).parameters)
        del own["config"]

        @functools.wraps(command)
        def with_settings(*, config_file: Path | None, **given: Any) -> None:
            try:
                stated = take_flags(settings, given)
                if resume and given[resume] is not None:
                    if given["path"] is not None:
                        raise UsageError(
                            "--run: names a database, and --resume another; give one of them"
                        )
                    stated = stored_settings(settings, given[resume]) | stated
                elif like and given[like] is not None:
                    stated = settings_like(settings, given[like]) | stated
                config = configure(settings, stated, config_file)
            except SimiaError as error:
                fail(error)
            command(**given, config=config)

        return with_parameters(with_settings, [*flag_parameters(settings), *own.values()])

    return decorate


def stored_settings(settings: type[Settings], path: Path) -> Layer:
    """The settings of the run at `path`. Raises `StoreError`, or `UsageError` if it is no run of
    this kind.
    """
    with Reader(path) as reader:
        run = reader.run()
    kind = kind_of(settings)
    if run is None or run.kind != kind:
        found = "no run was begun there" if run is None else f"it holds a run of kind {run.kind}"
        raise UsageError(f"{path}: cannot be resumed: {found}; expected a run of kind {kind}")
    # A record may hold more than the settings, such as where the data was.
    known = {n: v for n, v in run.config.items() if n in settings.__struct_fields__}
    return keywords_layer(settings, known)


def settings_like(settings: type[Settings], path: Path) -> Layer:
    """How the run at `path`, of whatever kind, played its conversations: which models were asked in
    which world. Raises `StoreError`.
    """
    with Reader(path) as reader:
        run = reader.run()
    wanted = set(PlayConfig.__struct_fields__) - {"budget", "store", "concurrency", "seed"}
    known = run.config if run else {}
    return keywords_layer(settings, {n: v for n, v in known.items() if n in wanted})


def flag_parameters(settings: type[Settings]) -> list[inspect.Parameter]:
    """A parameter for every setting, and `config_file`, as typer reads them."""
    names = [(_parameter(section, f), _option(section, f)) for section, f in _flags(settings)]
    names.append(("config_file", ConfigFile))
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in names
    ]


def take_flags(settings: type[Settings], given: dict[str, Any]) -> Layer:
    """Move the flags out of what typer gives a command. Raises `ConfigError`."""
    layer: Layer = {}
    for section, field in _flags(settings):
        raw = given.pop(_parameter(section, field))
        if raw is None or raw == []:
            continue
        try:
            value = field.read_text(raw) if isinstance(raw, str) else field.read(raw)
        except BadSetting as error:
            raise ConfigError(f"{field.flag}: {error.problem}") from None
        layer[kind_of(settings), *section, field.name] = Given(value, field.flag, field.flag)
    return layer


def parse_flags(settings: type[Settings], arguments: list[str]) -> Layer:
    """Read flags as the command with these settings would. Raises `ConfigError`."""
    app = typer.Typer(add_completion=False)
    app.command()(with_parameters(lambda: None, flag_parameters(settings)))
    command = typer.main.get_command(app)
    with command.make_context(kind_of(settings), list(arguments)) as context:
        return take_flags(settings, context.params)


def _flags(settings: type[Settings]) -> list[tuple[tuple[str, ...], Field]]:
    own: list[tuple[tuple[str, ...], Field]] = [((), field) for field in fields_of(settings)]
    sections = sections_of(settings).items()
    return own + [((name,), field) for name, section in sections for field in fields_of(section)]


def _parameter(section: tuple[str, ...], field: Field) -> str:
    return "_".join((*section, field.name))


def _option(section: tuple[str, ...], field: Field) -> Any:
    """Typer is told of text only: one parser, and one kind of error, for flags and variables."""
    flag, metavar = field.flag, _METAVARS.get(field.type)
    hint: Any = str
    if field.choices:
        metavar = "<choice>"
    elif field.type is bool:
        hint, flag = bool, f"{flag}/--no-{flag.removeprefix('--')}"
    elif field.is_list:
        hint, metavar = list[str], _METAVARS[field.item_type]
    panel = _PANELS[section[0]] if section else None
    option = typer.Option(
        flag, help=_help(field), metavar=metavar, show_default=False, rich_help_panel=panel
    )
    return Annotated[hint | None, option]


def _help(field: Field) -> str:
    choices = f" One of {', '.join(field.choices)}." if field.choices else ""
    repeatable = " Repeatable." if field.is_list else ""
    return f"{field.description}{choices}{repeatable} Default: {field.default_words}."


def with_parameters(
    function: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """The function, with these parameters for typer to read."""
    # typer learns a command's options from its signature and its annotations.
    by_keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    function.__signature__ = inspect.Signature(by_keyword)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function
