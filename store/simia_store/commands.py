"""Asking something of the process that owns a run: the one thing that others may write."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from simia_store.errors import StoreError
from simia_store.reader import Reader
from simia_store.records import CommandRecord, CommandStatus
from simia_store.standing import has_owner

STOP = "stop"
"""End the run politely, its record's last line included."""
STOP_AFTER_STEP = "stop_after_step"
"""End it in the same way once the training step under way is taken and written down."""
CHECKPOINT = "checkpoint"
"""Write down, at the end of the training step under way, all that the next ones depend on."""
PAUSE = "pause"
"""Hold every conversation before its next turn, and begin none."""
RESUME = "resume"
"""Go on after a pause."""
CONCURRENCY = "concurrency"
"""Have at most so many `conversations` at once."""
CANCEL = "cancel"
"""End one conversation, that of `trajectory`."""
REJUDGE = "rejudge"
"""Judge the conversations of `trajectories` once more, as another scoring."""

_TIMEOUT_S = 30.0
_LOOK_EVERY_S = 0.1


def send_command(path: Path, name: str, /, **arguments: Any) -> int:
    """Leave a command for the owner; its id, by which the answer will be found.

    Raises `StoreError` if there is no such run, or it cannot be written to.
    """
    with Reader(path):
        pass
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_TIMEOUT_S)) as database:
            cursor = database.execute(
                "INSERT INTO commands (name, arguments, created_at, status) VALUES (?, ?, ?, ?)",
                (name, msgspec.json.encode(arguments), time.time(), CommandStatus.WAITING),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid
    except sqlite3.Error as error:
        raise StoreError(f"{path}: the command cannot be left: {error}") from error


def wait_for_answer(
    path: Path, number: int, timeout_s: float, *, until_taken_up: bool = False
) -> CommandRecord:
    """The command, answered; or still waiting, if its time is over or its owner is gone.

    An owner that needs time takes a command up first: it waits on, with an answer that says what
    will be done. With `until_taken_up` that is enough. Raises `StoreError` if there is no such run
    or no such command.
    """
    until = time.monotonic() + timeout_s
    watched = watch_command(path, number)
    while True:
        command, owned = next(watched)
        taken_up = until_taken_up and command.answer is not None
        answered = command.status != CommandStatus.WAITING or taken_up
        if answered or not owned or time.monotonic() >= until:
            return command


def watch_command(path: Path, number: int) -> Iterator[tuple[CommandRecord, bool]]:
    """A command again and again, and whether somebody owns the run. Blocks in between.

    Raises `StoreError` if there is no such run or no such command.
    """
    with Reader(path) as reader:
        while True:
            # Asked first: an owner's last words are answers.
            owned = has_owner(reader.sessions())
            command = reader.command(number)
            if command is None:
                raise StoreError(f"{path}: holds no command {number}")
            yield command, owned
            time.sleep(_LOOK_EVERY_S)
