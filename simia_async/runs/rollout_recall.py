"""What earlier sessions of a run of rollouts have left: what is done, and what goes on."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from simia_store import (
    CallRecord,
    GroupRecord,
    Reader,
    SessionRecord,
    TaskRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)

from simia_async.config import Endpoint
from simia_async.environments import Task
from simia_async.errors import UsageError
from simia_async.rollouts.groups import GroupPlan, Member
from simia_async.rollouts.stop_reason import UNFINISHED, StopReason
from simia_async.runs.lost import lost_call
from simia_async.runs.spending import CUT_OFF


class Recalled(msgspec.Struct, frozen=True):
    """An earlier session's rollouts."""

    plans: dict[int, GroupPlan]
    """Groups that have begun and are not done."""
    done: dict[int, GroupRecord]
    """Groups that are."""
    finished: list[TrajectoryRecord]
    """Rollouts that are not played again."""
    killed: list[tuple[int, str]]
    """Rollouts that were under way when their owner was killed, and the role that was asked."""
    answered: set[str]
    """Roles that have answered."""

    def plan(self, number: int, task: Task, size: int, seed: int, step: int = 0) -> GroupPlan:
        """Group `number` of a run with this seed: as it was left, or to be begun."""
        plan = self.plans.get(number) or GroupPlan(number, task, size, step)
        # Members of a group sample with seeds of their own; no two rollouts share one.
        return msgspec.structs.replace(plan, seed=(seed * 1_000_000 + number) * size)


def recall(path: Path, tasks: Sequence[Task], size: int) -> Recalled:
    """Read what the run at `path` holds. Group n plays the n-th task.

    Raises `UsageError` if it was another task when the run began, or if there are fewer tasks than
    groups that have begun and not ended.
    """
    with Reader(path) as reader:
        calls = _Calls(reader)
        was_killed = calls.are_lost(reader.sessions())
        known = {record.id: record for record in reader.tasks()}
        recalled = Recalled({}, {}, [], [], calls.answered)
        for group in list(reader.all(GroupRecord)):
            is_done = len(group.rewards) == size and not _has_failed(reader, group)
            if group.id > len(tasks) and is_done:
                continue  # Fewer tasks are wanted than when it was played.
            task = _task_of(path, group, tasks, known)
            if is_done:
                recalled.done[group.id] = group
                recalled.finished.extend(reader.trajectories(group_id=group.id))
                continue
            members = {
                record.id: _member(reader, record, calls.tokens.get(record.id, 0))
                for record in list(reader.trajectories(group_id=group.id))
            }
            recalled.finished.extend(m.record for m in members.values() if m.is_done)
            if was_killed:
                recalled.killed.extend(
                    (number, next_role(member.turns))
                    for number, member in members.items()
                    if member.record.status == TrajectoryStatus.RUNNING
                )
            recalled.plans[group.id] = GroupPlan(
                group.id,
                task,
                size,
                group.step,
                record=group,
                facts=reader.facts(group_id=group.id),
                members=members,
            )
    return recalled


class _Calls:
    """What the ledger tells of a run that goes on."""

    def __init__(self, reader: Reader) -> None:
        self.answered: set[str] = set()
        self.tokens: dict[int | None, int] = {}
        """Those of prompt and reply at every conversation's last turn of the policy."""
        self._counted_at = 0.0
        """When lost calls were counted last."""
        for call in reader.calls():
            if call.status == CUT_OFF:
                self._counted_at = call.created_at
            elif call.status == "ok":
                self.answered.add(call.role)
                if call.role == "policy":
                    self.tokens[call.trajectory_id] = call.tokens_in + call.tokens_out

    def are_lost(self, sessions: Sequence[SessionRecord]) -> bool:
        """Whether an owner was killed and no session after it has counted what was lost. The last
        of `sessions` is the one that asks; others may have been refused before they came to that.
        """
        pairs = itertools.pairwise(sessions)
        after = [later for earlier, later in pairs if earlier.ended_at is None]
        return bool(after) and after[-1].started_at > self._counted_at


def _task_of(
    path: Path, group: GroupRecord, tasks: Sequence[Task], known: Mapping[str, TaskRecord]
) -> Task:
    if group.id > len(tasks):
        raise UsageError(
            f"{path}: its group {group.id} has begun and not ended; name at least {group.id} tasks"
        )
    task = tasks[group.id - 1]
    before = known.get(group.task_id)
    if group.task_id != task.id or (before and before.task != as_stored(task)):
        raise UsageError(
            f"{path}: its task {group.id} was {group.task_id!r}, and would be {task.id!r} now, or "
            "is not the same any more; bring the old tasks back, or name another database with "
            "--run"
        )
    return task


def as_stored(task: Task) -> Any:
    """The task as the record gives it back: JSON knows no tuples."""
    return msgspec.json.decode(msgspec.json.encode(task))


def lost_calls(recalled: Recalled, endpoints: dict[str, Endpoint], votes: int) -> list[CallRecord]:
    """What stands in the ledger for calls of which nobody saw the answer: one a conversation, and
    of its judge as many as it votes.
    """
    return [
        lost_call(endpoints[role], role, number)
        for number, role in recalled.killed
        for _ in range(votes if role == "judge" else 1)
    ]


def next_role(turns: Sequence[TurnRecord]) -> str:
    """Who is asked after these turns."""
    if not turns:
        return "user"
    last = turns[-1]
    if last.ends:
        return "judge"
    if last.role == "user":
        return "policy"
    if last.is_users_own:
        called = max(n for n, turn in enumerate(turns) if turn.role == "user_call")
        calls = turns[called].message.get("tool_calls") or ()
        return "tool" if len(turns) - 1 - called < len(calls) else "user"
    asked = max((n for n, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    calls = turns[asked].message.get("tool_calls") or ()
    if len(turns) - 1 - asked < len(calls):
        return "tool"
    return "user" if last.role == "assistant" and not last.is_error else "policy"


def _member(reader: Reader, record: TrajectoryRecord, tokens: int) -> Member:
    if not goes_on(record):
        return Member(record, is_done=True)
    turns = reader.turns(record.id)
    return Member(record, turns, tokens, reader.facts(trajectory_id=record.id))


def _has_failed(reader: Reader, group: GroupRecord) -> bool:
    return None in group.rewards and any(map(goes_on, reader.trajectories(group_id=group.id)))


def goes_on(record: TrajectoryRecord) -> bool:
    """Whether a rollout is to be played on, not to stand as it ended."""
    if record.status == TrajectoryStatus.RUNNING:
        return True
    return record.stop_reason is not None and StopReason(record.stop_reason) in UNFINISHED
