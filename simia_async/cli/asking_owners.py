"""Asking the process that owns a run for something, and waiting for its answer."""

from pathlib import Path
from typing import Any, NamedTuple

from simia_store import (
    CommandStatus,
    Reader,
    Standing,
    has_owner,
    send_command,
    standing,
    wait_for_answer,
)

from simia_async.errors import UsageError


class Reply(NamedTuple):
    """What an owner said, and whether it was all in time."""

    text: str | None
    is_in_time: bool


def ask_owner(
    path: Path, timeout_s: float, name: str, *, until_taken_up: bool = False, **arguments: Any
) -> Reply:
    """The owner's answer. With `until_taken_up` what it says before work that takes time will do.

    Raises `UsageError` if nobody owns the run, or its owner refuses.
    """
    stands, owned = _seen(path)
    if not owned:
        raise UsageError(f"{path}: nobody owns this run ({stands}), so nobody takes up `{name}`")
    number = send_command(path, name, **arguments)
    command = wait_for_answer(path, number, timeout_s, until_taken_up=until_taken_up)
    if command.status == CommandStatus.REFUSED:
        raise UsageError(f"{path}: its owner refused `{name}`: {command.answer}")
    if command.status == CommandStatus.DONE or (until_taken_up and command.answer is not None):
        return Reply(command.answer, is_in_time=True)
    stands, owned = _seen(path)
    if not owned:
        raise UsageError(f"{path}: its owner ended before it saw the command; the run is {stands}")
    return Reply(command.answer, is_in_time=False)


def _seen(path: Path) -> tuple[Standing, bool]:
    """How the run stands, and whether somebody owns it."""
    with Reader(path) as reader:
        sessions = reader.sessions()
        return standing(reader.run(), sessions), has_owner(sessions)
