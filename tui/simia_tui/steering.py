"""What can be asked of a run, and whether it can be asked now."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from simia_store import (
    CommandRecord,
    CommandStatus,
    Standing,
    send_command,
    watch_command,
)

from simia_tui.feed import Snapshot

ANSWER_WITHIN_S = 30.0
"""An owner that has not even taken a command up for so long is not waited for."""
_PLAYED = ("rollout", "rl", "eval")
"""Kinds of run whose conversations a judge can be given again."""
_JUDGE_FLAGS = {
    "base_url": "--base-url",
    "model": "--simulator-model",
    "provider": "--simulator-provider",
    "api_key_env": "--api-key-env",
}


class Answer(msgspec.Struct, frozen=True):
    """What a run says to a command."""

    text: str
    is_good: bool
    is_last: bool = True
    """Else the run has taken the command up, and says how far it is."""


Asker = Callable[[str, dict[str, Any]], Iterator[Answer | None]]
"""Asks a run for what a command names. Its answers as they come; None, again and again, while there
is no news. Blocks in between. Raises `StoreError`."""


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


def ask(path: Path, name: str, arguments: dict[str, Any]) -> Iterator[Answer | None]:
    """Leave a command for the owner of the run at `path`: an `Asker`."""
    number = send_command(path, name, **arguments)
    until = time.monotonic() + ANSWER_WITHIN_S
    said: str | None = None
    for command, owned in watch_command(path, number):
        if command.status != CommandStatus.WAITING:
            yield _last(command)
            return
        if not owned:
            yield Answer(f"{spoken(name)}: the run's owner ended without a word", is_good=False)
            return
        if command.answer is None and time.monotonic() > until:
            yield no_answer(name)
            return
        is_news, said = command.answer != said, command.answer
        yield Answer(f"{spoken(name)}: {said}", True, is_last=False) if is_news else None


def _last(command: CommandRecord) -> Answer:
    done = command.status == CommandStatus.DONE
    text = f"{spoken(command.name)}: {'' if done else 'refused: '}{command.answer}"
    return Answer(text, is_good=done)


def no_answer(name: str) -> Answer:
    """What is said where a run says nothing."""
    return Answer(f"{spoken(name)}: no answer within {ANSWER_WITHIN_S:.0f} s", is_good=False)


def spoken(name: str) -> str:
    """A command's name in words."""
    return name.replace("_", " ")


def judge_command(snapshot: Snapshot, numbers: Sequence[int]) -> str | None:
    """The command that judges conversations of a run again that nobody owns, by the run's own
    rubric and judge; None where its kind has none.
    """
    assert snapshot.run is not None
    config = snapshot.run.config
    if snapshot.run.kind not in _PLAYED:
        return None
    own = {k: v for k, v in config.get("judge_endpoint", {}).items() if v is not None}
    endpoint = config.get("simulator", {}) | own
    words = ["simia", "judge", str(snapshot.path)]
    for number in numbers:
        words += ["--trajectory", str(number)]
    for name in ("rubric", "votes"):
        if config.get(name) is not None:
            words += [f"--{name}", str(config[name])]
    if endpoint.get("base_url"):
        for name, flag in _JUDGE_FLAGS.items():
            if endpoint.get(name) is not None:
                words += [flag, str(endpoint[name])]
    return shlex.join(words)
