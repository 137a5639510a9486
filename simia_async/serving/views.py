"""How a run looks to clients."""

from pathlib import Path
from typing import Any, Self

import msgspec
from simia_store import CommandRecord, CommandStatus, Reader, StoreError

from simia_async.config import RunKind
from simia_async.serving.jobs import Job, JobDirectory, JobState


class Tally(msgspec.Struct, frozen=True):
    """Trajectories that stand so, because of that."""

    status: str
    cause: str
    count: int


class CommandView(msgspec.Struct, frozen=True):
    """A command that was left for a run, and what the run has said to it."""

    number: int
    status: CommandStatus
    answer: str | None
    """While it waits: what is being done about it, where that takes time."""

    @classmethod
    def of(cls, command: CommandRecord) -> Self:
        """As the record of the run has it."""
        assert command.id is not None
        return cls(command.id, command.status, command.answer)


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run: how it stands, and what it has come to where that was asked for."""

    id: str
    kind: RunKind
    state: JobState
    settings: dict[str, Any]
    created_at: float
    started_at: float | None
    ended_at: float | None
    attempts: int
    problem: str | None
    stop_asked: bool
    trajectories: list[Tally] = []
    metrics: dict[str, float] = {}
    """The last value of each."""
    adapters: list[str] = []
    """As a submission names them."""
    statistics: dict[str, dict[str, Any]] = {}
    """What governors, scheduler, spending and writer said of themselves last."""

    @classmethod
    def of(cls, job: Job, **seen: Any) -> Self:
        """The view of a job."""
        shared = set(cls.__struct_fields__) & set(Job.__struct_fields__)
        return cls(**{name: getattr(job, name) for name in shared}, **seen)


def view_of(job: Job, directory: JobDirectory) -> RunView:
    """The view of a job with what its run's record holds. Synchronous; call it off the loop."""
    try:
        with Reader(directory.database) as reader:
            published = (Path(adapter.path) for adapter in reader.adapters())
            # A run of RL also names the one that it began with.
            places = [place for place in published if place.parent == directory.adapters]
            last = {name: reader.metrics(name)[-1].value for name in reader.metric_names()}
            return RunView.of(
                job,
                trajectories=[Tally(o.status, o.cause, o.count) for o in reader.outcomes()],
                metrics=last,
                adapters=[f"{job.id}/{place.name}" for place in places],
                statistics={said.source: said.sample for said in reader.statistics()},
            )
    except StoreError:
        return RunView.of(job)  # It has not begun.
