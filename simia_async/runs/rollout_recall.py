"""What earlier sessions of a run of rollouts have left: what is done, and what goes on."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from simia_store import (
    CallRecord,
    GroupRecord,
    Reader,
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


def recall(path: Path, tasks: Sequence[Task], size: int) -> Recalled:
    """Read what the run at `path` holds. Group n plays the n-th task; those beyond are left out.

    Raises `UsageError` if it was another task when the run began.
    """
    recalled = Recalled({}, {}, [], [])
    with Reader(path) as reader:
        sessions = reader.sessions()
        was_killed = len(sessions) > 1 and sessions[-2].ended_at is None
        tokens = _policy_tokens(reader)
        for group in list(reader.all(GroupRecord)):
            if group.id > len(tasks):
                continue
            _check_task(path, group, tasks[group.id - 1])
            if len(group.rewards) == size and not _has_failed(reader, group):
                recalled.done[group.id] = group
                recalled.finished.extend(reader.trajectories(group_id=group.id))
                continue
            members = {
                record.id: _member(reader, record, tokens.get(record.id, 0))
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
                tasks[group.id - 1],
                size,
                group.step,
                record=group,
                facts=reader.facts(group_id=group.id),
                members=members,
            )
    return recalled


def _check_task(path: Path, group: GroupRecord, task: Task) -> None:
    if group.task_id != task.id:
        raise UsageError(
            f"{path}: its task {group.id} was {group.task_id!r}, and would be {task.id!r} now; bring "
            "the old tasks back, or name another database with --run"
        )


def lost_calls(recalled: Recalled, endpoints: dict[str, Endpoint]) -> list[CallRecord]:
    """What stands in the ledger for calls of which nobody saw the answer."""
    return [lost_call(endpoints[role], role, number) for number, role in recalled.killed]


def next_role(turns: Sequence[TurnRecord]) -> str:
    """Who is asked after these turns."""
    if not turns:
        return "user"
    last = turns[-1]
    if last.ends:
        return "judge"
    if last.role == "user":
        return "policy"
    asked = max((n for n, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    calls = turns[asked].message.get("tool_calls") or ()
    if len(turns) - 1 - asked < len(calls):
        return "tool"
    return "user" if last.role == "assistant" and not last.is_error else "policy"


def _policy_tokens(reader: Reader) -> dict[int | None, int]:
    """Those of prompt and reply at every conversation's last turn of the policy."""
    return {
        call.trajectory_id: call.tokens_in + call.tokens_out
        for call in reader.calls()
        if call.role == "policy" and call.status == "ok"
    }


def _member(reader: Reader, record: TrajectoryRecord, tokens: int) -> Member:
    if not _goes_on(record):
        return Member(record, is_done=True)
    turns = reader.turns(record.id)
    return Member(record, turns, tokens, reader.facts(trajectory_id=record.id))


def _has_failed(reader: Reader, group: GroupRecord) -> bool:
    return None in group.rewards and any(map(_goes_on, reader.trajectories(group_id=group.id)))


def _goes_on(record: TrajectoryRecord) -> bool:
    if record.status == TrajectoryStatus.RUNNING:
        return True
    return record.stop_reason is not None and StopReason(record.stop_reason) in UNFINISHED
