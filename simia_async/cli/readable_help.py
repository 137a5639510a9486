"""Help that can be read on a narrow terminal."""

import inspect

import typer
from rich.text import Text
from typer import rich_utils
from typer.models import CommandInfo, TyperInfo


def readable(app: typer.Typer) -> None:
    """Have the app's help say paragraphs that flow, and names of options that are never cut off.

    typer keeps the line breaks of docstrings, which are longer than a terminal of 80 columns, and
    ends what does not fit a column with an ellipsis.
    """
    rich_utils.highlighter = _WholeNames()
    rich_utils.negative_highlighter = _WholeNegativeNames()
    _flow(app)


class _WholeNames(rich_utils.OptionHighlighter):
    def __call__(self, text: str | Text) -> Text:
        return _folded(super().__call__(text))


class _WholeNegativeNames(rich_utils.NegativeOptionHighlighter):
    def __call__(self, text: str | Text) -> Text:
        return _folded(super().__call__(text))


def _folded(text: Text) -> Text:
    text.overflow = "fold"
    return text


def _flow(app: typer.Typer) -> None:
    commands: list[CommandInfo | TyperInfo] = [*app.registered_commands]
    if app.registered_callback:
        commands.append(app.registered_callback)
    for described in commands:
        told = inspect.getdoc(described.callback) if described.callback else None
        described.help = _flowing(told or "")
    for group in app.registered_groups:
        if group.typer_instance:
            _flow(group.typer_instance)


def _flowing(words: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in words.split("\n\n"))
