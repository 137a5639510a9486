"""τ²-bench as a process: started, watched and ended."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import msgspec

from simia_async.errors import ChildFailed, UsageError, single_error
from simia_async.formats.tau2 import RESULTS_FILE
from simia_async.runs.tau2_command import Tau2Command

Progress = Callable[[int, int], None]
"""Told how many simulations there are, and of how many tasks."""

_LAST_WORDS = 10
_GRACE_S = 5.0
_LOOK_EVERY_S = 2.0


async def follow(
    words: list[str],
    environment: dict[str, str],
    save_to: Path,
    command: Tau2Command,
    on_progress: Progress,
) -> None:
    """Run τ²-bench to its end; what it prints goes into a log beside its results.

    Raises `ChildFailed` with its last words if it fails.
    """
    log = save_to.with_suffix(".tau2.log")
    # An older version asks whether to go on with results that are there; it is told yes.
    answers = b"" if command.resumes else b"y\n" * 4
    with log.open("ab") as file, _open_end() as ours, single_error():
        process = await anyio.open_process(
            [sys.executable, "-m", "simia_async.supervision.tether", str(ours), *words],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            pass_fds=(ours,),
        )
        async with process, anyio.create_task_group() as group:
            group.start_soon(_watch, save_to, on_progress)
            try:
                assert process.stdin is not None
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await process.stdin.send(answers)
                    await process.stdin.aclose()
                code = await process.wait()
            finally:
                await _end(process)
            group.cancel_scope.cancel()
    if code:
        last = deque(log.read_text(errors="replace").split("\n"), _LAST_WORDS)
        said = next((line.strip() for line in reversed(last) if line.strip()), "nothing")
        raise ChildFailed(
            f"τ²-bench ended with code {code}; its last words: {said} (all of them: {log}); run "
            "the same command again to go on"
        )


@contextmanager
def _open_end() -> Iterator[int]:
    """The reading end of a pipe that is open until the context ends, or this process."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


async def _end(process: anyio.abc.Process) -> None:
    """End it and what it started, politely first."""
    with anyio.CancelScope(shield=True):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is not None:
                return
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with anyio.move_on_after(_GRACE_S):
                await process.wait()


class _Counted(msgspec.Struct):
    tasks: list[msgspec.Raw] = []
    simulations: list[msgspec.Raw] = []


async def _watch(save_to: Path, on_progress: Progress) -> None:
    """Count what τ²-bench has written so far. A file that is half written is read the next time."""
    while True:
        await anyio.sleep(_LOOK_EVERY_S)
        with suppress(OSError, msgspec.MsgspecError, UsageError):
            data = await anyio.Path(written(save_to)).read_bytes()
            counted = msgspec.json.decode(data, type=_Counted)
            on_progress(len(counted.simulations), len(counted.tasks))


def results_place(run: Path) -> Path:
    """What `--save-to` is told for the run at `run`: beside it, an absolute path, which τ²-bench
    then prefers to its own directory of results.
    """
    return run.resolve().with_suffix(".tau2")


def written(save_to: Path) -> Path:
    """The result file: version 1 makes a directory of that name, earlier ones a file."""
    places = (save_to / RESULTS_FILE, save_to.with_name(f"{save_to.name}.json"))
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UsageError(f"{places[0]}: τ²-bench ended well but wrote no results there")
    return found
