"""Rollouts that are replayed to measure luck, read from the run that played them."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from simia_store import (
    CallRecord,
    GroupRecord,
    Reader,
    RunRecord,
    StoreError,
    TrajectoryRecord,
    TurnRecord,
)

from simia_async.config import LuckConfig
from simia_async.environments import Task
from simia_async.errors import UsageError
from simia_async.runs.stored_cases import is_judgeable

_KINDS = ("rollout", "rl", "eval")


class RoleCost(msgspec.Struct, frozen=True):
    """What calls in one role came to."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def __add__(self, other: "RoleCost") -> "RoleCost":
        return RoleCost(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
        )

    def __mul__(self, times: int) -> "RoleCost":
        return RoleCost(self.calls * times, self.tokens_in * times, self.tokens_out * times)


class Recording(msgspec.Struct, frozen=True):
    """One rollout: what policy and user said, and what it cost to ask world and judge."""

    id: int
    """Its trajectory in the run that played it."""
    task: Task
    turns: Sequence[TurnRecord]
    reward: float | None
    costs: Mapping[str, RoleCost]
    """By role, of the calls that were answered."""


def as_played(config: LuckConfig, source: Path) -> LuckConfig:
    """The settings with the world, the environment and the seed of the run at `source`; its rubric
    too, where they name none. Raises `UsageError` if it holds no rollouts.
    """
    with Reader(source) as reader:
        run = reader.run()
    if run is None or run.kind not in _KINDS:
        found = "no run was begun there" if run is None else f"it holds a run of kind {run.kind}"
        raise UsageError(f"{source}: {found}; expected a run of simia rollout, train rl or eval")
    return msgspec.structs.replace(
        config,
        environment=run.config["environment"],
        world=run.config.get("world", "grounded"),
        mode=run.config.get("mode", "roles"),
        rubric=config.rubric or run.config.get("rubric"),
        votes=config.votes or run.config.get("votes"),
    )


def read_recordings(source: Path, tasks: int, size: int) -> tuple[list[Recording], int]:
    """Rollouts that can be judged: of each of the first `tasks` tasks those of the group that was
    played last, `size` at most, so that all of them are of one policy; of an evaluation the trials
    of its last policy at its last temperature. And how many of these cannot be judged.

    Raises `UsageError` if there are none, `StoreError` if the record is damaged.
    """
    with Reader(source) as reader:
        known = {each.id: each.task for each in reader.tasks() if each.task}
        run = reader.run()
        alike = _arms(reader) if run is not None and run.kind == "eval" else {}
        groups = _last_groups(reader.trajectories(), alike, tasks)
        unended = sum(not is_judgeable(each) for group in groups for each in group)
        chosen = [each for group in groups for each in list(filter(is_judgeable, group))[:size]]
        if not chosen:
            raise UsageError(
                f"{source}: holds no rollout that came to an end; there is nothing to replay"
            )
        lacking = next((each for each in chosen if each.task_id not in known), None)
        if lacking is not None:
            raise StoreError(f"{source}: damaged: task {lacking.task_id!r} is missing")
        costs = _costs(reader.calls(), {each.id for each in chosen})
        recordings = [
            Recording(
                each.id,
                msgspec.convert(known[each.task_id], Task),
                reader.turns(each.id),
                each.reward,
                costs.get(each.id, {}),
            )
            for each in chosen
        ]
        return recordings, unended


def source_of(run: RunRecord | None) -> Path | None:
    """Where the rollouts are that a run of replays was begun with; None if it is no such run."""
    named = run.config.get("rollouts") if run and run.kind == "luck" else None
    return Path(named) if named else None


def _arms(reader: Reader) -> dict[int | None, int]:
    """Of an evaluation, in which each trial is a group: the temperature's number, by group."""
    return {group.id: group.step for group in reader.all(GroupRecord)}


def _last_groups(
    rollouts: Iterable[TrajectoryRecord], alike: Mapping[int | None, int], tasks: int
) -> list[list[TrajectoryRecord]]:
    """Of each of the first tasks that have one: the last group with a rollout to be judged. Groups
    that are `alike`, by their ids, are one.
    """
    groups: dict[str, dict[tuple[int | None, int | None], list[TrajectoryRecord]]] = {}
    for each in rollouts:
        of_task = groups.setdefault(each.task_id, {})
        of_one = (alike.get(each.group_id, each.group_id), each.policy_version)
        of_task.setdefault(of_one, []).append(each)
    last = []
    for of_task in groups.values():
        ended = [group for group in of_task.values() if any(map(is_judgeable, group))]
        last += ended[-1:]
    return last[:tasks]


def _costs(calls: Iterable[CallRecord], wanted: set[int]) -> dict[int, dict[str, RoleCost]]:
    costs: dict[int, dict[str, RoleCost]] = {}
    for call in calls:
        if call.trajectory_id in wanted and call.status == "ok":
            of_one = costs.setdefault(call.trajectory_id, {})
            cost = RoleCost(1, call.tokens_in, call.tokens_out)
            of_one[call.role] = of_one.get(call.role, RoleCost()) + cost
    return costs


def in_rounds(recordings: Sequence[Recording], replays: int) -> list[Recording]:
    """All of them, replay by replay: whatever ends the run, all were replayed about as often."""
    return list(itertools.chain.from_iterable([recordings] * replays))
