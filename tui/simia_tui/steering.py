"""What can be asked of a live run, and whether it can be asked now."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from simia_store import CommandStatus, Standing, send_command, wait_for_answer

from simia_tui.feed import Snapshot

ANSWER_WITHIN_S = 30.0


class Answer(msgspec.Struct, frozen=True):
    """What became of a command."""

    text: str
    is_good: bool


Asker = Callable[[str, dict[str, Any]], Answer]
"""Asks a run for what a command names, and waits for its answer."""


def obstacle(snapshot: Snapshot | None, *, readonly: bool) -> str | None:
    """Why nothing can be asked of the run; None if it can."""
    if readonly:
        return "the dashboard was started with --readonly: it only watches"
    if snapshot is None or snapshot.run is None:
        return "the run has not begun"
    if snapshot.standing == Standing.CUT_OFF:
        return f"the run's owner has said nothing for {snapshot.silent_s:.0f} s: it is dead"
    if not snapshot.is_live:
        return f"the run is {snapshot.standing}: nobody is there to obey"
    return None


def ask(path: Path, name: str, arguments: dict[str, Any]) -> Answer:
    """Leave a command and wait for the owner's answer. Blocks. Raises `StoreError`."""
    number = send_command(path, name, **arguments)
    command = wait_for_answer(path, number, ANSWER_WITHIN_S)
    if command.status == CommandStatus.WAITING:
        return Answer(f"{name}: no answer within {ANSWER_WITHIN_S:.0f} s", is_good=False)
    done = command.status == CommandStatus.DONE
    return Answer(f"{name}: {'' if done else 'refused: '}{command.answer}", is_good=done)
