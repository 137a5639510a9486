"""Recorded conversations with their true rewards, and what the file tells of tasks and failures.

tau-bench's result files (`traj`, `info`) tell the task and what its check found. Lines of any other
format that `formats` reads may have, beside the conversation and its `reward`: `task` (what the
user wanted), `task_id` (which task it is of, if `task` does not tell), `goal` (what success is) and
`failure` (the kind of failure, in a word or two).
"""

from pathlib import Path
from typing import Any

import msgspec

from simia_async.errors import UsageError
from simia_async.formats.conversation import Conversation
from simia_async.formats.reading import read_with_lines

SOLVED = "solved"
SOLVED_IDLE = "solved, nothing was to be done"
WRONG_STATE = "wrong state"
NEEDLESS = "acted, nothing was to be done"
NOT_TOLD = "something was not told"
NOT_ENDED = "did not end"
FAILED = "failed, not told how"


class Labelled(msgspec.Struct, frozen=True):
    """One conversation with its true reward."""

    number: int
    """In the file, from 1."""
    conversation: Conversation
    reward: float
    kind: str
    """How it failed, or that it did not."""
    task: str
    """Which task it is of: others of the same are not independent of it."""
    scenario: str
    """What the user wanted; empty where the file does not tell."""
    goal: str
    """What success is; empty where the file does not tell."""


class _Told(msgspec.Struct):
    """What a line of any format may tell."""

    task: str | dict[str, Any] | None = None
    task_id: str | int | None = None
    goal: str = ""
    failure: str = ""


class _Action(msgspec.Struct):
    name: str
    kwargs: dict[str, Any] = {}


class _Task(msgspec.Struct):
    instruction: str = ""
    actions: list[_Action] = []
    outputs: list[str] = []


class _RewardInfo(msgspec.Struct):
    info: dict[str, Any] = {}


class _Info(msgspec.Struct):
    task: _Task = msgspec.field(default_factory=_Task)
    reward_info: _RewardInfo | None = None


class _Recorded(msgspec.Struct):
    info: _Info
    task_id: int | str = ""


def read_labelled(path: Path) -> tuple[list[Labelled], int]:
    """The conversations of a file that have a reward, and how many have none.

    Raises `UsageError` that names the file and what is wrong, also where none has a reward.
    """
    labelled: list[Labelled] = []
    without = 0
    for number, (conversation, line) in enumerate(read_with_lines(path), 1):
        if conversation.reward is None:
            without += 1
        elif not 0 <= conversation.reward <= 1:
            raise UsageError(
                f"{path}: {conversation.id}: `reward` is {conversation.reward:g}; it must be a "
                "number from 0 to 1"
            )
        else:
            labelled.append(_labelled(path, number, conversation, conversation.reward, line))
    if not labelled:
        raise UsageError(
            f"{path}: none of its {without} conversations has a `reward`, which the judge is "
            "compared with; add one from 0 to 1 to each line"
        )
    return labelled, without


def _labelled(
    path: Path, number: int, conversation: Conversation, reward: float, line: dict[str, Any]
) -> Labelled:
    try:
        if "info" in line and "traj" in line:
            return _from_tau_bench(number, conversation, reward, msgspec.convert(line, _Recorded))
        told = msgspec.convert(line, _Told)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {conversation.id}: {error}") from error
    scenario = told.task if isinstance(told.task, str) else ""
    kind = SOLVED if reward >= 1 else told.failure or FAILED
    name = "" if told.task_id is None else str(told.task_id)
    task = name or scenario or conversation.id
    return Labelled(number, conversation, reward, kind, task, scenario, told.goal)


def _from_tau_bench(
    number: int, conversation: Conversation, reward: float, told: _Recorded
) -> Labelled:
    task = told.info.task
    name = str(told.task_id) if told.task_id != "" else task.instruction
    kind = _kind(reward, task, told.info.reward_info)
    return Labelled(number, conversation, reward, kind, name, task.instruction, _goal(task))


def _kind(reward: float, task: _Task, found: _RewardInfo | None) -> str:
    """tau-bench compares the database with the one that the task's actions lead to, and looks for
    each of the task's outputs in what the agent said. Where it looked for outputs, it tells of
    these alone; then a wrong database is told from all of them being there.
    """
    if reward >= 1:
        return SOLVED if task.actions or task.outputs else SOLVED_IDLE
    if found is None:
        return NOT_ENDED
    outputs = found.info.get("outputs")
    if isinstance(outputs, dict) and not all(outputs.values()):
        return NOT_TOLD
    return WRONG_STATE if task.actions or task.outputs else NEEDLESS


def _goal(task: _Task) -> str:
    """What tau-bench's check wants, in words."""
    calls = msgspec.json.encode(task.actions).decode()
    goal = (
        "The state of the world afterwards is the one that exactly these calls lead to, in this "
        f"order, whatever else was looked up: {calls}."
        if task.actions
        else "The state of the world is not changed."
    )
    if task.outputs:
        goal += f" The user has been told each of: {', '.join(task.outputs)}."
    return goal
