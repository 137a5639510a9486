"""Asking the process that owns a run for something, and waiting for its answer."""

from pathlib import Path
from typing import Any

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


def ask_owner(path: Path, timeout_s: float, name: str, **arguments: Any) -> str | None:
    """The owner's answer; None if there is none yet.

    Raises `UsageError` if nobody owns the run, or its owner refuses.
    """
    stands, owned = _seen(path)
    if not owned:
        raise UsageError(f"{path}: nobody owns this run ({stands}), so there is nothing to {name}")
    command = wait_for_answer(path, send_command(path, name, **arguments), timeout_s)
    if command.status == CommandStatus.REFUSED:
        raise UsageError(f"{path}: its owner refused to {name}: {command.answer}")
    if command.status == CommandStatus.DONE:
        return command.answer
    stands, owned = _seen(path)
    if not owned:
        raise UsageError(f"{path}: its owner ended before it saw the command; the run is {stands}")
    return None


def _seen(path: Path) -> tuple[Standing, bool]:
    """How the run stands, and whether somebody owns it."""
    with Reader(path) as reader:
        sessions = reader.sessions()
        return standing(reader.run(), sessions), has_owner(sessions)
