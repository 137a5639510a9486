"""What a run measures, shown in TensorBoard or Weights & Biases while it goes on.

Trackers follow the record: whatever is stored is shown, once, in whatever session it was measured.
"""

import importlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import anyio
import anyio.to_thread
from simia_store import MetricRecord, Reader, RunRecord, StoreError

from simia_async.errors import UsageError
from simia_async.supervision.service import Report

_EVERY_S = 2.0
_END_S = 60.0
"""How long a tracker may take to send what is left when the run has ended."""


class Tracker(Protocol):
    """Where measured values are shown."""

    def begin(self, run: RunRecord) -> None:
        """The run is there, and values may follow."""

    def show(self, metrics: Sequence[MetricRecord]) -> None:
        """Show those that are not shown yet; names and steps are the record's."""

    def close(self) -> None:
        """All is shown."""


class TensorBoard:
    """Event files in a directory, written by the package `tensorboard`."""

    def __init__(self, directory: Path, database: Path) -> None:
        """Raises `UsageError` if the package is not there, or values of a run other than the one
        at `database` are in the directory.
        """
        self._files = _library("tensorboard.summary.writer.event_file_writer", "tensorboard")
        self._events = _library("tensorboard.compat.proto.event_pb2", "tensorboard")
        self._summaries = _library("tensorboard.compat.proto.summary_pb2", "tensorboard")
        if directory.exists() and not directory.is_dir():
            raise UsageError(f"--tensorboard: {directory} is a file; expected a directory")
        self._directory = directory
        self._shown = _points(directory)
        if not self._shown.keys() <= {(each.name, each.step) for each in _stored(database)}:
            raise UsageError(
                f"--tensorboard: {directory} holds values of another run; name another directory"
            )
        self._writer: Any = None

    def begin(self, run: RunRecord) -> None:
        """Nothing: a directory is a run."""

    def show(self, metrics: Sequence[MetricRecord]) -> None:
        """Write what no event file of the directory holds."""
        for each in metrics:
            if (each.name, each.step) in self._shown:
                continue
            self._shown[each.name, each.step] = each.value
            value = self._summaries.Summary.Value(tag=each.name, simple_value=each.value)
            summary = self._summaries.Summary(value=[value])
            if self._writer is None:
                self._writer = self._files.EventFileWriter(str(self._directory))
            self._writer.add_event(
                self._events.Event(wall_time=each.created_at, step=each.step, summary=summary)
            )
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


class WeightsAndBiases:
    """A run of a project of Weights & Biases; `WANDB_MODE=offline` keeps it on this machine.

    Measured values and the settings are sent; console output, code, git state, the command line
    and what the machine is doing are not. https://docs.wandb.ai/ref/python/sdk/classes/settings
    """

    def __init__(self, project: str, database: Path) -> None:
        """Raises `UsageError` if the package is not there, or nobody is logged in."""
        self._wandb = _library("wandb", "wandb")
        self._project = project
        self._name = database.stem
        self._last = 0
        self._run: Any = None
        if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
            return
        try:
            logged_in = self._wandb.login()
        # Not only its own: a variable with a wrong value is pydantic's.
        except Exception as error:
            raise UsageError(f"--wandb: {' '.join(str(error).split())}") from error
        if not logged_in:
            raise UsageError("--wandb: nobody is logged in; run wandb login, or set WANDB_API_KEY")

    def begin(self, run: RunRecord) -> None:
        """Begin the run there, or go on with it: it has the same id."""
        self._run = self._wandb.init(
            project=self._project,
            name=self._name,
            id=run.id,
            config=run.config,
            resume="allow",
            settings=self._wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                silent=True,
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        )
        self._run.define_metric("*", step_metric="step")
        self._last = int(self._run.summary.get("step") or 0)

    def show(self, metrics: Sequence[MetricRecord]) -> None:
        """Log the steps after those of earlier sessions."""
        steps: dict[int, dict[str, float]] = {}
        for each in metrics:
            if each.step > self._last:
                steps.setdefault(each.step, {})[each.name] = each.value
        for step, values in steps.items():
            self._run.log({"step": step, **values})

    def close(self) -> None:
        """Wait until all is sent."""
        if self._run is not None:
            self._run.finish()


@asynccontextmanager
async def shown_in(
    trackers: Sequence[Tracker], database: Path, report: Report
) -> AsyncIterator[None]:
    """Show what the run at `database` measures, until the end. A tracker that fails is reported
    and let go; the run goes on.
    """
    mirror = _Mirror(trackers, database, report)

    async def follow() -> None:
        while True:
            await anyio.to_thread.run_sync(mirror.catch_up)
            await anyio.sleep(_EVERY_S)

    try:
        async with anyio.create_task_group() as group:
            if trackers:
                group.start_soon(follow)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(_END_S, shield=True) as patience:
            await anyio.to_thread.run_sync(mirror.end, abandon_on_cancel=True)
        if patience.cancelled_caught:
            report(f"a tracker did not end within {_END_S:.0f} s; it may lack the last steps")


class _Mirror:
    """Hands what was stored since to the trackers."""

    def __init__(self, trackers: Sequence[Tracker], database: Path, report: Report) -> None:
        self._trackers = list(trackers)
        self._database = database
        self._report = report
        self._has_begun = False
        self._read = 0
        """Rows that were handed on."""

    def catch_up(self) -> None:
        if not self._has_begun and not self._begin():
            return
        metrics = _stored(self._database, self._read)
        self._read += len(metrics)
        self._each(lambda tracker: tracker.show(metrics))

    def end(self) -> None:
        if self._trackers:
            self.catch_up()
        self._each(lambda tracker: tracker.close())

    def _begin(self) -> bool:
        """Whether the run has begun, so that values may be there."""
        try:
            with Reader(self._database) as reader:
                run = reader.run()
        except StoreError:
            return False
        if run is None:
            return False
        self._has_begun = True
        self._each(lambda tracker: tracker.begin(run))
        return True

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                act(tracker)
            # Whatever a foreign library raises, hours of training are worth more than its curves.
            except Exception as error:
                self._trackers.remove(tracker)
                self._report(f"{type(tracker).__name__} shows no more of the run: {error}")


def _library(module: str, extra: str) -> ModuleType:
    """Raises `UsageError` if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"--{extra}: needs the package {extra}; install simia-async[{extra}]"
        ) from error


def _stored(database: Path, after: int = 0) -> list[MetricRecord]:
    """What the run has measured, in the order in which it was stored, without the first rows."""
    if not database.exists():
        return []
    with Reader(database) as reader:
        return list(islice(reader.all(MetricRecord), after, None))


def _points(directory: Path) -> dict[tuple[str, int], float]:
    """Values that lie in the event files of a directory, by name and step."""
    loader = _library("tensorboard.backend.event_processing.event_file_loader", "tensorboard")
    points: dict[tuple[str, int], float] = {}
    for path in sorted(directory.glob("*tfevents*")):
        for event in loader.LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                points[value.tag, event.step] = value.simple_value
    return points
