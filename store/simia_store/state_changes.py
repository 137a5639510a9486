"""What each turn of a conversation changed in the state, told from its JSON Patch operations."""

from collections.abc import Sequence
from typing import Any

import msgspec
from jsonpointer import JsonPointerException, resolve_pointer

from simia_store.patches import PatchError, patched
from simia_store.records import FactRecord, TurnRecord

_ABSENT: Any = object()


class StateChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation of a turn."""

    op: str
    path: str
    before: Any = None
    """What stood there, where `knows_before`."""
    after: Any = None
    """What stands there; for `move` and `copy` the path it came from."""
    knows_before: bool = False

    def __str__(self) -> str:
        match self.op:
            case "remove":
                was = f" (was {_json(self.before)})" if self.knows_before else ""
                return f"{self.path}: removed{was}"
            case "move" | "copy":
                return f"{self.path}: {self.op} of {self.after}"
        if self.knows_before:
            return f"{self.path}: {_json(self.before)} → {_json(self.after)}"
        return f"{self.path}: {'added' if self.op == 'add' else 'set to'} {_json(self.after)}"


def changes_by_turn(
    turns: Sequence[TurnRecord], facts: Sequence[FactRecord], state: dict[str, Any] | None
) -> list[list[StateChange]]:
    """The changes of every turn. `state` is what the conversation began in and `facts` are its
    group's; what stood in a place before is told as far as these allow.
    """
    known = 0
    changes: list[list[StateChange]] = []
    for turn in turns:
        for fact in facts[known : turn.facts]:
            # The turn that told a fact holds its operations itself.
            if fact.ops != turn.ops:
                state = _after(state, fact.ops)
        known = max(known, turn.facts)
        changes.append([])
        for op in turn.ops:
            if op.get("op") != "test":
                changes[-1].append(_change(op, state))
            state = _after(state, [op])
    return changes


def _change(op: dict[str, Any], state: dict[str, Any] | None) -> StateChange:
    name, path = str(op.get("op")), str(op.get("path"))
    after = op.get("from") if name in ("move", "copy") else op.get("value")
    # What is added to a list takes no other's place.
    is_inserted = name == "add" and isinstance(_at(state, path.rpartition("/")[0]), list)
    before = _at(state, path)
    if before is _ABSENT or is_inserted or name in ("move", "copy"):
        return StateChange(name, path, after=after)
    return StateChange(name, path, before, after, knows_before=True)


def _at(state: dict[str, Any] | None, path: str) -> Any:
    try:
        return _ABSENT if state is None else resolve_pointer(state, path, _ABSENT)
    except JsonPointerException:
        return _ABSENT


def _after(state: dict[str, Any] | None, ops: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The state afterwards; None, from then on, if it cannot be told."""
    try:
        return None if state is None else patched(state, ops)
    except PatchError:
        return None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
