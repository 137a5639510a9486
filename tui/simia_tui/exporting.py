"""Conversations and pictures written to files, whole or not at all."""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from simia_store import Browser


def conversations(browser: Browser, numbers: Iterable[int]) -> Iterator[bytes]:
    """One JSON object a conversation: its trajectory, messages, turns, judgements and task. Among
    the messages is nothing of the user's own device, which the policy never saw.
    """
    for number in numbers:
        trajectory = browser.trajectory(number)
        if trajectory is None:
            continue
        turns = browser.turns(number)
        task = browser.task(trajectory.task_id)
        yield msgspec.json.encode(
            {
                "trajectory": trajectory,
                "messages": [turn.message for turn in turns if not turn.is_users_own],
                "turns": turns,
                "judgements": list(browser.judgements(trajectory_id=number)),
                "task": task.task if task else None,
            }
        )


def write_lines(run: Path, lines: Iterable[bytes]) -> Path:
    """A new JSONL file in the working directory, named after the run."""
    return write_new(f"{run.stem}-rollouts-{_stamp()}.jsonl", (line + b"\n" for line in lines))


def write_picture(run: Path, pane: str, svg: str) -> Path:
    """A new SVG file in the working directory."""
    return write_new(f"{run.stem}-{pane}-{_stamp()}.svg", [svg.encode(errors="replace")])


def write_new(name: str, parts: Iterable[bytes]) -> Path:
    """A file of this name, or one with a number behind it: nothing is overwritten."""
    fd, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=".")
    try:
        with open(fd, "wb") as file:
            file.writelines(parts)
        return _place(Path(temporary), Path(name))
    finally:
        Path(temporary).unlink()


def _place(temporary: Path, wanted: Path) -> Path:
    for number in range(1, 1000):
        path = wanted if number == 1 else wanted.with_stem(f"{wanted.stem}-{number}")
        try:
            os.link(temporary, path)
        except FileExistsError:
            continue
        path.chmod(0o644)
        return path
    raise FileExistsError(f"{wanted}: and 999 others like it are there")


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")
