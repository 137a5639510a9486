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

_MOST_FACTS = 2000

_ABSENT: Any = object()


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


def state_changes(turns: list[TurnRecord], facts: list[FactRecord], state: Any) -> list[list[str]]:
    """The changes of every turn in words. `state` is what the conversation began in, as far as the
    task says; what stood in a place before is told where that is known.
    """
    known = 0
    changes: list[list[str]] = []
    for turn in turns:
        for fact in facts[known : turn.facts]:
            # The turn that told a fact holds its operations itself.
            if fact.ops != turn.ops:
                state = _after(state, fact.ops)
        known = max(known, turn.facts)
        lines: list[str] = []
        for op in turn.ops:
            if op.get("op") != "test":
                lines.append(_change(op, state))
            state = _after(state, [op])
        changes.append(lines)
    return changes


def _change(op: dict[str, Any], state: Any) -> str:
    kind, path = str(op.get("op")), str(op.get("path"))
    if kind in ("move", "copy"):
        return f"~ {path}: {kind} of {op.get('from')}"
    before = _at(state, path)
    was = "" if before is _ABSENT else _json(before)
    if kind == "remove":
        return f"- {path}" + (f" (was {was})" if was else "")
    arrow = f"{was} → " if was and not isinstance(_at(state, path.rpartition("/")[0]), list) else ""
    return f"{'+' if kind == 'add' and not arrow else '~'} {path}: {arrow}{_json(op.get('value'))}"


def _at(state: Any, path: str) -> Any:
    from jsonpointer import JsonPointerException, resolve_pointer

    try:
        return _ABSENT if state is None else resolve_pointer(state, path, _ABSENT)
    except JsonPointerException:
        return _ABSENT


def _after(state: Any, ops: list[dict[str, Any]]) -> Any:
    """The state afterwards; None, from then on, if it cannot be told."""
    from jsonpatch import JsonPatchException, apply_patch
    from jsonpointer import JsonPointerException

    try:
        return None if state is None else apply_patch(state, ops)
    except (JsonPatchException, JsonPointerException, TypeError, ValueError, LookupError):
        return None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
