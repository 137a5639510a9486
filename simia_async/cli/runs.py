"""`simia runs`: look at runs, look after them, and steer one that goes on."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Annotated, ParamSpec, TypeVar

import typer
from simia_store import (
    CANCEL,
    CHECKPOINT,
    CONCURRENCY,
    PAUSE,
    REJUDGE,
    RESUME,
    STOP,
    STOP_AFTER_STEP,
    Reader,
)
from simia_store.checks import check as check_run
from simia_store.maintenance import compact as compact_run
from simia_store.maintenance import delete as delete_run
from simia_store.maintenance import refuse_owned
from simia_store.maintenance import upgrade as upgrade_run

from simia_async.cli.asking_owners import Reply, ask_owner
from simia_async.cli.output import AsJson, fail, print_json, show
from simia_async.cli.run_lines import print_lines, run_lines, size_text
from simia_async.cli.run_show import print_view, view
from simia_async.errors import SimiaError, UsageError

P = ParamSpec("P")
R = TypeVar("R")

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Database of a run.")]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Databases of runs.")]

EXIT_PROBLEMS = 1
Timeout = Annotated[
    float, typer.Option("--timeout", min=0, help="Seconds to wait for the owner's answer.")
]

AfterStep = Annotated[
    bool, typer.Option("--after-step", help="Once the training step under way is taken.")
]

EXIT_NOT_OBEYED = 1

app = typer.Typer(
    no_args_is_help=True, help="Look at runs, look after them, and steer one that goes on."
)


@app.command("list")
def list_runs(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Directory of run databases.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """The runs in a directory, a line each."""
    lines = _or_fail(run_lines, directory)
    if as_json:
        print_json(lines)
    elif lines:
        print_lines(lines)
    else:
        show("runs", f"none in {directory}")


@app.command("show")
def show_run(path: Run, as_json: AsJson = False) -> None:
    """All about one run: settings, sessions, outcomes, calls, statistics, adapters, commands."""
    seen = _or_fail(view, path)
    if as_json:
        print_json(seen)
    else:
        print_view(seen)


@app.command()
def check(paths: Runs) -> None:
    """Look for what is wrong with runs, even while they go on: exit code 1 if anything is."""
    sound = True
    for path in paths:
        findings = _or_fail(check_run, path)
        for problem in findings.problems:
            show("problem", f"{path}: {problem}")
        for note in findings.notes:
            show("note", f"{path}: {note}")
        if not findings.problems:
            show("sound", path)
        sound = sound and not findings.problems
    if not sound:
        raise typer.Exit(EXIT_PROBLEMS)


@app.command()
def upgrade(paths: Runs) -> None:
    """Bring runs of an older simia-async to today's schema."""
    for path in paths:
        before, after = _or_fail(upgrade_run, path)
        same = before == after
        show("upgraded", f"{path}: schema {before}" + (" already" if same else f" → {after}"))


@app.command()
def compact(paths: Runs) -> None:
    """Compress what finished runs hold; everything reads them as before."""
    for path in paths:
        done = _or_fail(compact_run, path)
        ratio = done.bytes_before / done.bytes_after
        sizes = f"{size_text(done.bytes_before)} → {size_text(done.bytes_after)}"
        show("compacted", f"{path}: {sizes}, {ratio:.1f} times smaller")


@app.command()
def delete(
    paths: Runs,
    adapters: Annotated[
        bool, typer.Option("--adapters", help="Also the adapters that they published.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete runs that nobody owns. What is no run is left alone."""
    # All of them are looked at before the first is gone.
    doomed = {path: _or_fail(_goes_with, path, adapters) for path in paths}
    for path, directories in doomed.items():
        if not yes and not _agreed([path, *directories]):
            show("kept", path)
            continue
        _or_fail(delete_run, path)
        show("deleted", path)
        for directory in directories:
            _or_fail(_remove, directory)
            show("deleted", directory)


@app.command()
def stop(path: Run, after_step: AfterStep = False, timeout_s: Timeout = 30.0) -> None:
    """Ask the process that owns a run to end it, and wait until it has.

    What was committed stays; the run goes on when it is started again. With --after-step a training
    takes the step under way first, and this command does not wait for it.
    """
    if after_step:
        reply = _or_fail(ask_owner, path, timeout_s, STOP_AFTER_STEP, until_taken_up=True)
        _tell("stopping", path, reply, timeout_s)
    else:
        _tell("stopped", path, _or_fail(ask_owner, path, timeout_s, STOP), timeout_s)


@app.command()
def checkpoint(path: Run, timeout_s: Timeout = 30.0) -> None:
    """Ask the owner of a training for a checkpoint after the step under way, and wait for it.

    `train sft` writes one; of `train rl` every step is one, and the last one is told.
    """
    _tell("checkpoint", path, _or_fail(ask_owner, path, timeout_s, CHECKPOINT), timeout_s)


@app.command()
def rejudge(
    path: Run,
    trajectories: Annotated[
        list[int], typer.Argument(metavar="TRAJECTORY...", help="Numbers of conversations.")
    ],
    timeout_s: Timeout = 30.0,
) -> None:
    """Ask the owner of a run to judge conversations again while it goes on: another scoring.

    It does so beside the run and within its budget, and no reward that is trained on changes.
    `simia runs show` tells how far it is. A run that has ended is judged by `simia judge`.
    """
    reply = _or_fail(
        ask_owner, path, timeout_s, REJUDGE, until_taken_up=True, trajectories=trajectories
    )
    _tell("judging", path, reply, timeout_s)


@app.command()
def pause(path: Run, timeout_s: Timeout = 30.0) -> None:
    """Ask the owner of a run of rollouts to hold every conversation before its next turn.

    Calls in flight end and are stored. `simia runs resume` lets all go on.
    """
    _tell("paused", path, _or_fail(ask_owner, path, timeout_s, PAUSE), timeout_s)


@app.command()
def resume(path: Run, timeout_s: Timeout = 30.0) -> None:
    """Let a run of rollouts go on that was paused.

    One that was cut off or stopped goes on with `simia rollout --resume`.
    """
    _tell("resumed", path, _or_fail(ask_owner, path, timeout_s, RESUME), timeout_s)


@app.command()
def concurrency(
    path: Run,
    conversations: Annotated[int, typer.Argument(min=1, help="How many at once, at most.")],
    timeout_s: Timeout = 30.0,
) -> None:
    """Change how many conversations a run of rollouts has at once, while it goes on."""
    answer = _or_fail(ask_owner, path, timeout_s, CONCURRENCY, conversations=conversations)
    _tell("changed", path, answer, timeout_s)


@app.command()
def cancel(
    path: Run,
    trajectory: Annotated[int, typer.Argument(help="Number of the conversation.")],
    timeout_s: Timeout = 30.0,
) -> None:
    """End one conversation of a run of rollouts: it gets no reward, and is not played again."""
    answer = _or_fail(ask_owner, path, timeout_s, CANCEL, trajectory=trajectory)
    _tell("cancelled", path, answer, timeout_s)


def _tell(label: str, path: Path, reply: Reply, timeout_s: float) -> None:
    if not reply.is_in_time:
        late = (
            f"{reply.text}, which took longer than {timeout_s:g} s; it is still being done"
            if reply.text
            else f"no answer within {timeout_s:g} s; its owner may still obey"
        )
        show("waiting", f"{path}: {late}")
        raise typer.Exit(EXIT_NOT_OBEYED)
    show(label, f"{path}: {reply.text}")


def _goes_with(path: Path, adapters: bool) -> list[Path]:
    """Adapter directories to be deleted with a run. Raises `StoreError` if somebody owns it."""
    refuse_owned(path)
    if not adapters:
        return []
    with Reader(path) as reader:
        # An adapter of step 0 was not trained here: the run only used it.
        trained = [Path(adapter.path) for adapter in reader.adapters() if adapter.step]
    return [adapter for adapter in trained if (adapter / "adapter_config.json").is_file()]


def _remove(adapter: Path) -> None:
    try:
        rmtree(adapter)
    except OSError as error:
        raise UsageError(f"{adapter}: cannot be deleted: {error.strerror}") from error
    with suppress(OSError):  # others lie there
        adapter.parent.rmdir()


def _agreed(paths: list[Path]) -> bool:
    for path in paths:
        show("delete", path)
    try:
        return typer.confirm("Sure?")
    except typer.Abort:
        fail(UsageError("nothing more was deleted: nobody said yes; --yes says so beforehand"))


def _or_fail(action: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    try:
        return action(*arguments, **options)
    except SimiaError as error:
        fail(error)
