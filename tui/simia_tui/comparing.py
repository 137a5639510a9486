"""Rollouts side by side: what they did turn by turn, and where they part."""

from collections.abc import Sequence

import msgspec
from simia_store import Browser, TrajectoryRecord, TurnRecord

from simia_tui.script import outline

MOST = 64
"""Rollouts that are compared at once."""


class Lane(msgspec.Struct, frozen=True):
    """One rollout."""

    trajectory: TrajectoryRecord
    turns: list[tuple[str, str]]
    """Role and words of each."""


class Comparison(msgspec.Struct, frozen=True):
    """Rollouts, and the first turn at which not all are the same."""

    lanes: list[Lane]
    parts_at: int | None
    """None where they never part, or there is only one."""

    @property
    def longest(self) -> int:
        """Turns of the longest."""
        return max((len(lane.turns) for lane in self.lanes), default=0)


def compare_group(browser: Browser, group_id: int) -> Comparison:
    """The rollouts of a group. Raises `StoreError`."""
    return _compare(browser, browser.members(group_id, MOST))


def compare_rollouts(browser: Browser, numbers: Sequence[int]) -> Comparison:
    """Any rollouts. Raises `StoreError`."""
    found = (browser.trajectory(number) for number in numbers[:MOST])
    return _compare(browser, [trajectory for trajectory in found if trajectory is not None])


def first_difference(conversations: Sequence[Sequence[TurnRecord]]) -> int | None:
    """The first position at which not all have the same turn; None where there is none."""
    for position in range(max((len(turns) for turns in conversations), default=0)):
        said = {
            msgspec.json.encode(_heard(turns[position])) if position < len(turns) else b""
            for turns in conversations
        }
        if len(said) > 1:
            return position
    return None


def _heard(turn: TurnRecord) -> object:
    """What of a turn counts: ids of calls are made up anew each time."""
    message = turn.message
    return turn.role, message.get("content"), outline(turn), _arguments(message)


def _arguments(message: dict[str, object]) -> list[object]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return []
    return [call.get("function") for call in calls if isinstance(call, dict)]


def _compare(browser: Browser, trajectories: Sequence[TrajectoryRecord]) -> Comparison:
    turns = [browser.turns(trajectory.id) for trajectory in trajectories]
    lanes = [
        Lane(trajectory, [(turn.role, outline(turn)) for turn in each])
        for trajectory, each in zip(trajectories, turns, strict=True)
    ]
    return Comparison(lanes, first_difference(turns))
