"""One line a run: what a database says of itself at a glance."""

import sqlite3
import time
from datetime import datetime
from pathlib import Path

import msgspec
from simia_store import Reader, Standing, StoreError, TrajectoryStatus, standing, usage_by_role

_GOOD = (TrajectoryStatus.KEPT, TrajectoryStatus.SCORED)
_SQLITE = b"SQLite format 3\0"


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """What `simia runs list` shows of one database."""

    path: Path
    bytes: int
    kind: str | None = None
    status: str
    reason: str | None = None
    """Why it failed or stopped, or why it cannot be read and what to do."""
    good: int = 0
    """Trajectories kept or scored."""
    trajectories: int = 0
    cost_usd: float | None = None
    started_at: str | None = None
    """ISO 8601, local time."""
    seconds: float | None = None
    """From the start to the end; to now, or to the last sign of life."""


def run_lines(directory: Path) -> list[RunLine]:
    """The databases in a directory, oldest first, and then what is not a run.

    Raises `StoreError` if it cannot be listed.
    """
    try:
        files = sorted(file for file in directory.iterdir() if _may_be_run(file))
    except OSError as error:
        raise StoreError(f"{directory}: cannot be listed: {error.strerror}") from error
    lines = [run_line(file) for file in files]
    return sorted(lines, key=lambda line: (line.started_at is None, line.started_at or ""))


def _may_be_run(file: Path) -> bool:
    """Whether it calls itself a database, or is one."""
    if not file.is_file() or file.name.endswith(("-wal", "-shm")):
        return False
    if file.suffix == ".db":
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def run_line(path: Path) -> RunLine:
    """One run, or why there is none at `path`."""
    size = _size(path)
    try:
        return _read(path, size)
    except (StoreError, sqlite3.Error) as error:
        why = str(error).removeprefix(f"{path}: ")
        return RunLine(path=path, bytes=size, status="unreadable", reason=why)


def _read(path: Path, size: int) -> RunLine:
    with Reader(path) as reader:
        run, sessions = reader.run(), reader.sessions()
        stands = standing(run, sessions)
        outcomes = reader.outcomes()
        costs = [role.cost_usd for role in usage_by_role(reader.usage())]
    if run is None:
        return RunLine(path=path, bytes=size, status=stands)
    end: float | None = run.finished_at or time.time()
    if stands == Standing.CUT_OFF:
        end = sessions[-1].beat_at if sessions else None
    known = [cost for cost in costs if cost is not None]
    return RunLine(
        path=path,
        bytes=size,
        kind=run.kind,
        status=stands,
        reason=run.reason,
        good=sum(outcome.count for outcome in outcomes if outcome.status in _GOOD),
        trajectories=sum(outcome.count for outcome in outcomes),
        cost_usd=sum(known) if known else None,
        started_at=local_time(run.started_at),
        seconds=None if end is None else end - run.started_at,
    )


def local_time(seconds: float) -> str:
    """A Unix time as ISO 8601 in local time."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _size(path: Path) -> int:
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
