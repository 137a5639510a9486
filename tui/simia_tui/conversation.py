"""One conversation with all that the store knows of it, read at once."""

from typing import Any

import msgspec
from simia_store import (
    Browser,
    FactRecord,
    GroupRecord,
    JudgementRecord,
    TrajectoryRecord,
    TurnRecord,
)
from simia_store.state_changes import StateChange, changes_by_turn

_MOST_FACTS = 2000


class Conversation(msgspec.Struct, frozen=True):
    """What the transcript shows."""

    trajectory: TrajectoryRecord
    turns: list[TurnRecord]
    changes: list[list[str]]
    """What each turn changed in the state, a line each."""
    judgements: list[JudgementRecord]
    task: dict[str, Any]
    group: GroupRecord | None

    @property
    def above_group(self) -> float | None:
        """Its reward minus the mean of its group: the advantage, before any scaling."""
        reward = self.trajectory.reward
        rewards = [each for each in (self.group.rewards if self.group else []) if each is not None]
        return None if reward is None or not rewards else reward - sum(rewards) / len(rewards)


def read_conversation(browser: Browser, number: int) -> Conversation | None:
    """Read one; None if there is none of this number. Raises `StoreError`."""
    trajectory = browser.trajectory(number)
    if trajectory is None:
        return None
    task = browser.task(trajectory.task_id)
    turns = browser.turns(number)
    group = trajectory.group_id
    return Conversation(
        trajectory=trajectory,
        turns=turns,
        changes=state_changes(
            turns,
            browser.group_facts(group, _MOST_FACTS) if group is not None else [],
            task.task.get("initial_state") if task else None,
        ),
        judgements=list(browser.judgements(trajectory_id=number)),
        task=task.task if task else {},
        group=browser.group(group) if group is not None else None,
    )


def state_changes(
    turns: list[TurnRecord], facts: list[FactRecord], state: dict[str, Any] | None
) -> list[list[str]]:
    """The changes of every turn in words. `state` is what the conversation began in, as far as the
    task says; what stood in a place before is told where that is known.
    """
    return [[_words(each) for each in changes] for changes in changes_by_turn(turns, facts, state)]


def _words(change: StateChange) -> str:
    if change.op in ("move", "copy"):
        return f"~ {change.path}: {change.op} of {change.after}"
    was = _json(change.before) if change.knows_before else ""
    if change.op == "remove":
        return f"- {change.path}" + (f" (was {was})" if was else "")
    sign = "+" if change.op == "add" and not was else "~"
    return f"{sign} {change.path}: {f'{was} → ' if was else ''}{_json(change.after)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
