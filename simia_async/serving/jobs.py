"""A job: a run that somebody submitted, and the directory in which everything of it stands.

A directory holds `job.json` (what was asked for and how it stands), the run's database, its
adapters, a log, and `outcome.json` once its process has ended by itself. Files are replaced whole.
So the server may be killed at any moment, and finds all of it when it starts again.
"""

import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from simia_async.config import RunKind
from simia_async.errors import UsageError
from simia_async.runs.record import JOB_FILE, SERVED_FILE
from simia_async.whole_files import write_whole

TASKS_FILE = "tasks.jsonl"
"""Name of the file that a run of the kind `tasks` makes."""
_OUTCOME = "outcome.json"
_LOCK = "process.lock"


class QueueFull(UsageError):
    """No more jobs are taken at the moment."""


class KeyTaken(UsageError):
    """The idempotency key is that of another submission."""


class InUse(UsageError):
    """A job that is not over needs what was to be replaced or removed."""


class UnknownJob(UsageError):
    """There is no such job, or nothing of that name in it."""


class JobState(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """By whoever asked for it."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, and how it stands."""

    id: str
    kind: RunKind
    settings: dict[str, Any] = {}
    data: tuple[str, ...] = ()
    """Databases of the runs that it is about, under the server's root."""
    state: JobState = JobState.QUEUED
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    attempts: int = 0
    """Processes that were started for it."""
    stop_asked: bool = False
    problem: str | None = None
    """Why it failed, in a sentence."""
    idempotency_key: str | None = None

    def names(self, place: Path) -> bool:
        """Whether it was submitted with this path, or with one in it."""
        return _is_named(str(place.resolve()), [self.settings, *self.data])


class Outcome(msgspec.Struct, frozen=True):
    """What the process of a job left when it ended by itself."""

    state: JobState
    problem: str | None = None
    was_asked: bool = False
    """Whether somebody asked the run itself to end, such as after a step."""


class JobDirectory:
    """Where a job stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / SERVED_FILE
        self.adapters = path / "adapters"
        self.tasks = path / TASKS_FILE
        self.exports = path / "exports"
        """What was made of the run for whoever fetched it."""
        self.log = path / "log.txt"

    def read(self) -> Job:
        """The job. Raises `UsageError` if there is none."""
        try:
            return msgspec.json.decode((self.path / JOB_FILE).read_bytes(), type=Job)
        except (OSError, msgspec.MsgspecError) as error:
            raise UsageError(f"{self.path.name}: holds no job that can be read") from error

    def write(self, job: Job) -> None:
        """Keep the job, durably."""
        write_whole(self.path / JOB_FILE, [msgspec.json.encode(job)])

    def outcome(self) -> Outcome | None:
        """What its last process left; None if it was cut off, or has not ended."""
        try:
            return msgspec.json.decode((self.path / _OUTCOME).read_bytes(), type=Outcome)
        except (OSError, msgspec.MsgspecError):
            return None

    def end_of_log(self, most: int) -> bytes:
        """The last that its processes said, in so many bytes; empty if nothing."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - most))
                return log.read()
        except OSError:
            return b""

    def leave(self, outcome: Outcome) -> None:
        """Tell how the process ends."""
        write_whole(self.path / _OUTCOME, [msgspec.json.encode(outcome)])

    def forget_outcome(self) -> None:
        """Before another process begins."""
        (self.path / _OUTCOME).unlink(missing_ok=True)

    @contextmanager
    def process_lock(self) -> Iterator[None]:
        """Held by the job's process for as long as it lives. Raises `UsageError` if one lives."""
        with (self.path / _LOCK).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{self.path.name}: another process does this job") from None
            yield

    @property
    def has_process(self) -> bool:
        """Whether a process does the job now, whoever started it."""
        try:
            with self.process_lock():
                return False
        except UsageError:
            return True


def _is_named(path: str, given: Any) -> bool:
    if isinstance(given, str):
        return given == path or given.startswith(f"{path}/")
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    return any(_is_named(path, part) for part in parts)


def new_job_id(kind: RunKind) -> str:
    """A name that sorts by time and nobody guesses."""
    return f"{kind}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
