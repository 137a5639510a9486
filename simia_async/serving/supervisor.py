"""The jobs of a server: queued, started as processes of their own, taken up again, stopped.

A process belongs to its job, not to the server: one that is cut off is started again and goes on
from what its run has committed; a server that is started again finds the processes that its
predecessor left and waits for their ends as for its own.
"""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from simia_async.config import RunKind
from simia_async.errors import UsageError
from simia_async.serving.job_places import create_job, remove_job, sweep_jobs
from simia_async.serving.jobs import (
    InUse,
    Job,
    JobDirectory,
    JobState,
    KeyTaken,
    QueueFull,
    UnknownJob,
    new_job_id,
)
from simia_async.serving.log import Log, log_lines
from simia_async.serving.spawning import ask_to_end, last_line, spawn
from simia_async.supervision.endings import how_it_ended

_LOOK_EVERY_S = 0.2
_AFTER_FAILURE_S = 5.0
_FIRST_WAIT_S = 1.0
"""Before a job that was cut off is started again; doubled each time."""
_LONGEST_WAIT_S = 60.0


class Supervisor:
    """All jobs under a directory. `run` it in the background for as long as the server lives."""

    def __init__(
        self,
        root: Path,
        *,
        parallel: int = 2,
        queue: int = 100,
        attempts: int = 20,
        log: Log = log_lines,
    ) -> None:
        """`parallel` jobs at once, at most `queue` waiting; a job that was cut off `attempts` times
        has failed.
        """
        self.root = root
        self._parallel = parallel
        self._queue = queue
        self._attempts = attempts
        self._log = log
        self._jobs: dict[str, Job] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._adopted: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._ending: dict[str, int | None] = {}
        """Jobs that are to end, and the session of their run that was asked to."""
        self._draining = False
        self._idle = anyio.Event()
        """Set when all has ended in a server that drains."""
        self._changed = anyio.Event()
        self._submitting = anyio.Lock()
        self._changing = anyio.Lock()
        """Held while a job's state is read and kept, so that nobody undoes what another keeps."""

    @property
    def jobs(self) -> list[Job]:
        """All of them, the oldest first."""
        return sorted(self._jobs.values(), key=lambda job: (job.created_at, job.id))

    @property
    def is_draining(self) -> bool:
        """Whether no more jobs are taken or started."""
        return self._draining

    def job(self, number: str) -> Job:
        """One of them. Raises `UnknownJob`."""
        try:
            return self._jobs[number]
        except KeyError:
            raise UnknownJob(f"{number!r}: there is no such run here") from None

    def directory(self, number: str) -> JobDirectory:
        """Where a job stands. Raises `UnknownJob`."""
        return JobDirectory(self.root / self.job(number).id)

    def reader_of(self, place: Path) -> Job | None:
        """A job that is not over and was submitted with `place`, or with something in it."""
        jobs = (job for job in list(self._jobs.values()) if not job.state.is_over)
        return next((job for job in jobs if job.names(place)), None)

    def take_up(self) -> None:
        """Find the jobs that are there. Before `run`."""
        self.root.mkdir(parents=True, exist_ok=True)
        sweep_jobs(self.root)
        for path in sorted(self.root.iterdir()):
            try:
                job = JobDirectory(path).read()
            except UsageError:
                continue
            self._jobs[job.id] = job
            if job.state == JobState.RUNNING:
                self._adopted.add(job.id)
                if job.stop_asked:
                    self._ending[job.id] = None

    async def submit(
        self,
        kind: RunKind,
        settings: dict[str, Any],
        data: Sequence[str] = (),
        key: str | None = None,
    ) -> tuple[Job, bool]:
        """The job, kept before this returns, and whether it is new: one that was submitted with
        the same key is told again. Raises `QueueFull` or `KeyTaken`.
        """
        async with self._submitting:
            if key is not None and (known := self._with_key(key)) is not None:
                if (known.kind, known.settings, known.data) != (kind, settings, tuple(data)):
                    raise KeyTaken(f"Idempotency-Key: {key!r} is that of another submission")
                return known, False
            waiting = sum(job.state == JobState.QUEUED for job in self._jobs.values())
            if self._draining or waiting >= self._queue:
                why = "the server is going down" if self._draining else f"{waiting} runs wait"
                raise QueueFull(f"no more runs are taken at the moment: {why}")
            job = Job(
                id=new_job_id(kind),
                kind=kind,
                settings=settings,
                data=tuple(data),
                created_at=time.time(),
                idempotency_key=key,
            )
            await anyio.to_thread.run_sync(create_job, self.root, job)
            self._jobs[job.id] = job
            self._log("submitted", run=job.id)
        self._changed.set()
        return job, True

    async def stop(self, number: str) -> Job:
        """Ask a job to end; what it committed stays. Raises `UnknownJob`."""
        async with self._changing:
            job = self.job(number)
            if job.state == JobState.QUEUED:
                await self._keep(job, state=JobState.STOPPED, stop_asked=True, ended_at=time.time())
            elif job.state == JobState.RUNNING and not job.stop_asked:
                await self._keep(job, stop_asked=True)
                self._ending[number] = None
                self._changed.set()
            return self.job(number)

    async def delete(self, number: str) -> None:
        """Remove a job that is over, with all that it made. Raises `UnknownJob` or `InUse`."""
        job = self.job(number)
        if not job.state.is_over:
            raise InUse(f"{number}: is {job.state}; stop it first")
        if reader := self.reader_of(self.root / number):
            raise InUse(f"{number}: {reader.id} needs it and is {reader.state}; stop that first")
        del self._jobs[number]
        try:
            await anyio.to_thread.run_sync(remove_job, self.root / number)
        except OSError:
            self._jobs[number] = job
            raise

    async def run(self) -> None:
        """Start what waits and take down what has ended, until cancelled."""
        while True:
            wait_s = _LOOK_EVERY_S
            try:
                await self._go_on()
            except OSError as error:
                # A full disk is no reason to go down: all is done again once there is room.
                self._log("failed", reason=error.strerror)
                wait_s = _AFTER_FAILURE_S
            self._changed = anyio.Event()
            with anyio.move_on_after(wait_s):
                await self._changed.wait()

    async def _go_on(self) -> None:
        for number in [*self._processes, *self._adopted]:
            async with self._changing:
                await self._look_at(number)
        for number in [*self._ending]:
            await self._ask_to_end(number)
        if not self._draining:
            await self._start_some()
        if self._draining and not (self._processes or self._adopted):
            self._idle.set()

    async def drain(self, timeout_s: float) -> None:
        """Take and start nothing more, and let what runs end politely. It goes on when a server
        starts here again.
        """
        self._draining = True
        for process in self._processes.values():
            process.terminate()
        for number in self._adopted:
            database = JobDirectory(self.root / number).database
            await anyio.to_thread.run_sync(ask_to_end, database, None)
        with anyio.move_on_after(timeout_s):
            await self._idle.wait()

    def _with_key(self, key: str) -> Job | None:
        return next((job for job in self._jobs.values() if job.idempotency_key == key), None)

    async def _keep(self, job: Job, **changes: Any) -> None:
        changed = msgspec.structs.replace(self._jobs[job.id], **changes)
        await anyio.to_thread.run_sync(JobDirectory(self.root / job.id).write, changed)
        self._jobs[job.id] = changed
        if "state" in changes:
            told = {"state": changed.state, "attempts": changed.attempts}
            self._log("run", run=job.id, **told, problem=changed.problem)

    async def _start_some(self) -> None:
        room = self._parallel - len(self._processes) - len(self._adopted)
        now = time.monotonic()
        for job in self.jobs:
            if room <= 0:
                return
            if job.state == JobState.QUEUED and self._not_before.get(job.id, 0) <= now:
                async with self._changing:
                    room -= await self._start(job.id)

    async def _start(self, number: str) -> bool:
        """Whether it was started; it may have been stopped meanwhile."""
        job = self._jobs.get(number)
        if job is None or job.state != JobState.QUEUED:
            return False
        await self._keep(
            job,
            state=JobState.RUNNING,
            attempts=job.attempts + 1,
            started_at=job.started_at or time.time(),
        )
        # Should it not start, it is looked at like one whose process has ended.
        self._adopted.add(number)
        directory = JobDirectory(self.root / number)
        self._processes[number] = await anyio.to_thread.run_sync(spawn, directory)
        self._adopted.discard(number)
        return True

    async def _look_at(self, number: str) -> None:
        """See whether a process has ended, and what that means for its job."""
        process, directory = self._processes.get(number), JobDirectory(self.root / number)
        if process is not None:
            if process.poll() is None:
                return
            how = how_it_ended(process.returncode)
        else:
            how = "ended while no server was there to see it"
        if await anyio.to_thread.run_sync(lambda: directory.has_process):
            self._processes.pop(number, None)
            self._adopted.add(number)
            return
        outcome = await anyio.to_thread.run_sync(directory.outcome)
        job = self.job(number)
        if outcome is None:
            await self._was_cut_off(job, how)
        elif outcome.state == JobState.STOPPED and not (job.stop_asked or outcome.was_asked):
            # Told to go by somebody who did not ask for the job's end, such as a server's own.
            await self._keep(job, state=JobState.QUEUED)
        else:
            await self._keep(
                job, state=outcome.state, problem=outcome.problem, ended_at=time.time()
            )
        self._processes.pop(number, None)
        self._adopted.discard(number)

    async def _was_cut_off(self, job: Job, how: str) -> None:
        if job.stop_asked:
            await self._keep(job, state=JobState.STOPPED, ended_at=time.time())
        elif job.attempts >= self._attempts:
            words = await anyio.to_thread.run_sync(last_line, JobDirectory(self.root / job.id))
            problem = f"cut off {job.attempts} times; the last process {how}: {words}"
            await self._keep(job, state=JobState.FAILED, problem=problem, ended_at=time.time())
        else:
            wait = min(_FIRST_WAIT_S * 2 ** (job.attempts - 1), _LONGEST_WAIT_S)
            self._not_before[job.id] = time.monotonic() + wait
            await self._keep(job, state=JobState.QUEUED)

    async def _ask_to_end(self, number: str) -> None:
        """By a command, once its run has an owner who reads it."""
        if self.job(number).state.is_over:
            del self._ending[number]
            return
        database = JobDirectory(self.root / number).database
        asked = self._ending[number]
        self._ending[number] = await anyio.to_thread.run_sync(ask_to_end, database, asked)
