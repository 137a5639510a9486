"""What a tasks run makes tasks of besides its seeds: the trajectories that another run kept."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from simia_store import Reader, TrajectoryRecord, TrajectoryStatus

from simia_async.environments import Environment, Seed
from simia_async.errors import UsageError
from simia_async.messages import Message
from simia_async.synthesis.task_making import Source


def kept_by(path: Path, environment: Environment) -> list[Source]:
    """Kept trajectories of the generate run at `path`, as conversations to make tasks of.

    Raises `UsageError` if it is another kind of run or of another environment, or kept nothing.
    """
    with Reader(path) as reader:
        run = reader.run()
        if run is None or run.kind != "generate":
            found = f"is a run of kind {run.kind}" if run else "holds no run"
            raise UsageError(f"--from {path}: {found}; name a run of simia generate")
        name = reader.environment().name
        if name != environment.name:
            raise UsageError(
                f"--from {path}: is a run of environment {name!r}, not of {environment.name!r}"
            )
        kept = reader.trajectories(status=TrajectoryStatus.KEPT)
        sources = [_as_source(reader, run.id, trajectory) for trajectory in kept]
    if not sources:
        raise UsageError(
            f"--from {path}: kept no trajectory; let that run go on, or leave --from out"
        )
    return sources


def _as_source(reader: Reader, run: str, trajectory: TrajectoryRecord) -> Source:
    messages = [msgspec.convert(turn.message, Message) for turn in reader.turns(trajectory.id)]
    seed = str(trajectory.detail["seed"])
    # Named by its run as well: another run numbers its trajectories from 0 too.
    return Source(Seed(f"{seed}/{run[:8]}/{trajectory.id}", messages), seed)


def check_ids(conversations: Iterable[Seed]) -> None:
    """Raise `UsageError` if two would become tasks of one id."""
    counts = Counter(conversation.id for conversation in conversations)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise UsageError(
            f"{twice!r} is the id of a seed and of a kept trajectory too; give the seed another "
            "`id` in its file"
        )
