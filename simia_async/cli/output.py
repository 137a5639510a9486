"""What every command has in common: progress on standard error, results on standard output, and
errors in one sentence.
"""

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from simia_store import printable

from simia_async.errors import ChildFailed, RunStopped, SimiaError, single_error
from simia_async.speed import run_fast
from simia_async.supervision.signals import Signalled, until_signalled

# Without emoji: a path or a port may read like the name of one.
stdout = Console(emoji=False)
stderr = Console(stderr=True, emoji=False)

R = TypeVar("R")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]

EXIT_BAD_INPUT = 2
EXIT_CHILD_FAILED = 3
EXIT_INTERRUPTED = 130


def run(main: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a command's coroutine; on an error of ours print its sentence and exit.

    SIGINT and SIGTERM end it politely, the record's last line included; while it ends, more of
    them change nothing.
    """
    try:
        with single_error():
            return run_fast(until_signalled, main)
    except RunStopped as stop:
        stderr.print(f"{stop}; what was committed stays")
    except SimiaError as error:
        fail(error)
    except Signalled:
        stderr.print("stopped; what was committed stays")
    raise typer.Exit(EXIT_INTERRUPTED)


def fail(error: SimiaError) -> NoReturn:
    """Print the sentence and exit: 3 if a child died, else 2."""
    print_error(str(error))
    raise typer.Exit(EXIT_CHILD_FAILED if isinstance(error, ChildFailed) else EXIT_BAD_INPUT)


def print_error(sentence: str) -> None:
    """Say what is wrong, on standard error."""
    stderr.print(
        f"[bold red]error:[/] {escape(printable(sentence))}", soft_wrap=True, highlight=False
    )


def report(sentence: str) -> None:
    """Tell about a child that died and was started again."""
    stderr.print(
        f"[bold yellow]note:[/] {escape(printable(sentence))}", soft_wrap=True, highlight=False
    )


def print_json(result: Any) -> None:
    """The result as JSON on standard output; paths as text."""
    sys.stdout.buffer.write(msgspec.json.encode(result, enc_hook=str, order="sorted") + b"\n")
    sys.stdout.buffer.flush()


def show(label: str, value: object) -> None:
    """One labelled line of a result. What it shows is text, never markup or control codes."""
    line = f"{label:<10} {printable(str(value))}"
    stdout.print(line, markup=False, highlight=False, soft_wrap=True)


class Bar:
    """One progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: float, total: float, note: str = "") -> None:
        """Show how far it is."""
        self._progress.update(self._task, completed=done, total=total, note=escape(note))


@contextmanager
def progress_bar(title: str, *, hidden: bool = False) -> Iterator[Bar]:
    """A bar on standard error; none under `--json` and none where nobody watches."""
    with Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=stderr,
        disable=hidden or not stderr.is_terminal,
        expand=False,
    ) as progress:
        yield Bar(progress, progress.add_task(title, total=None, note=""))
