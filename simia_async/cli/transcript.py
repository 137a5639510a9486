"""One conversation of a run, with all that is known of it, as `simia show` tells it."""

from pathlib import Path
from typing import Any

import msgspec
from simia_store import (
    CallRecord,
    JudgementRecord,
    Reader,
    RunRecord,
    ScoringRecord,
    TrajectoryRecord,
    TurnRecord,
)
from simia_store.state_changes import StateChange, changes_by_turn

from simia_async.environments import Task, load_environment
from simia_async.errors import UsageError
from simia_async.messages import Message, visible_text


class MadeCall(msgspec.Struct, frozen=True):
    """A tool call as the agent wrote it."""

    name: str
    arguments: str


class TurnView(msgspec.Struct, frozen=True):
    """One turn."""

    number: int
    """From 1 on."""
    role: str
    text: str
    thoughts: str
    calls: list[MadeCall]
    source: str | None
    """Who made an observation: `llm`, `code`, `fact` or `function`."""
    is_error: bool
    changes: list[StateChange]
    ends: str
    """Why the conversation is over with this turn; empty where it goes on."""


class JudgementView(msgspec.Struct, frozen=True):
    """What one scoring says of it."""

    scoring: int
    judge: str
    """The model; empty where code alone judged."""
    rubric: dict[str, Any]
    reward: float | None
    reason: str | None
    detail: dict[str, Any]


class Transcript(msgspec.Struct, frozen=True):
    """All of one conversation."""

    run: Path
    trajectory: TrajectoryRecord
    task: dict[str, Any] | None
    """As it was played; None where there is none, as in runs that generate."""
    turns: list[TurnView]
    judgements: list[JudgementView]
    calls: list[CallRecord] | None
    """Every attempt that was made for it; None where they were not asked for."""


def read_transcript(path: Path, number: int, *, calls: bool = False) -> Transcript:
    """Read a conversation. Raises `StoreError`, or `UsageError` if there is none of this number."""
    with Reader(path) as reader:
        trajectory = reader.trajectory(number)
        if trajectory is None:
            raise UsageError(f"{path}: has no trajectory {number}; {_which(reader)}")
        task = next(
            (each.task for each in reader.tasks() if each.id == trajectory.task_id and each.task),
            None,
        )
        turns = reader.turns(number)
        group = trajectory.group_id
        facts = reader.facts(group_id=group) if group is not None else []
        changes = changes_by_turn(turns, facts, _initial_state(reader.run(), task))
        made_for_it = (call for call in reader.calls() if call.trajectory_id == number)
        return Transcript(
            run=path,
            trajectory=trajectory,
            task=task,
            turns=[_turn(*pair) for pair in zip(turns, changes, strict=True)],
            judgements=_judgements(reader, number),
            calls=list(made_for_it) if calls else None,
        )


def _which(reader: Reader) -> str:
    first = reader.trajectory_page(1).rows
    last = reader.trajectory_page(1, descending=True).rows
    return f"there are {first[0].id} to {last[0].id}" if first else "the run holds none yet"


def _initial_state(run: RunRecord | None, task: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the conversation began in; None where that cannot be told any more."""
    if run is None or task is None:
        return None
    try:
        environment = load_environment(run.config["environment"])
        return environment.state_with(msgspec.convert(task, Task).initial_state)
    except (UsageError, KeyError, msgspec.ValidationError):
        return None


def _turn(turn: TurnRecord, changes: list[StateChange]) -> TurnView:
    message = msgspec.convert(turn.message, Message)
    content = message.content or ""
    spoken = visible_text(content) if turn.role == "assistant" else content
    return TurnView(
        number=turn.position + 1,
        role=turn.role,
        text=spoken,
        thoughts=message.reasoning_content or _thoughts(content, spoken),
        calls=[
            MadeCall(call.function.name, call.function.arguments)
            for call in message.tool_calls or ()
        ],
        source=turn.source,
        is_error=turn.is_error,
        changes=changes,
        ends=turn.ends,
    )


def _thoughts(content: str, spoken: str) -> str:
    """What stands in `<think>` blocks."""
    if spoken == content.strip():
        return ""
    parts = [part.partition("</think>")[0] for part in content.split("<think>")[1:]]
    return "\n".join(part.strip() for part in parts)


def _judgements(reader: Reader, number: int) -> list[JudgementView]:
    scorings = {scoring.id: scoring for scoring in reader.scorings()}
    return [
        _judgement(each, scorings.get(each.scoring_id))
        for each in reader.judgements(trajectory_id=number)
    ]


def _judgement(judgement: JudgementRecord, scoring: ScoringRecord | None) -> JudgementView:
    return JudgementView(
        scoring=judgement.scoring_id,
        judge=scoring.judge if scoring else "",
        rubric=scoring.rubric if scoring else {},
        reward=judgement.reward,
        reason=judgement.reason,
        detail=judgement.detail,
    )
