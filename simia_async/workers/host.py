"""A worker's side: it does what it is given, and tells its owner what came of it."""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, Protocol, assert_never

import msgspec

from simia_async.clients.governor import Governor
from simia_async.errors import SimiaError, UsageError
from simia_async.workers.frames import (
    Begin,
    Broken,
    Cancel,
    Committed,
    Drop,
    Dropped,
    Ended,
    Failed,
    Forget,
    FromWorker,
    Hold,
    Leased,
    Leases,
    Ready,
    ToWorker,
    Work,
    as_raw,
    kept_in,
)
from simia_async.workers.leases import NOTHING, VALID_S

Tell = Callable[[FromWorker], None]
Hear = Callable[[], Awaitable[list[ToWorker]]]
"""The frames that came next; none when the owner is gone, or wants no more."""

_piece: ContextVar[int] = ContextVar("piece")
"""The number of the piece of work in whose task it is asked for."""


class Job(Protocol):
    """What a worker does with the pieces of work of one kind."""

    governors: Mapping[str, Governor]
    """Those of all endpoints it asks, by the names that the owner's have."""

    async def do(self, number: int, given: msgspec.Raw) -> Any:
        """Do one piece; what it returns goes to the owner as JSON."""

    def hold(self, *, held: bool) -> None:
        """Let conversations wait before their next turn, or go on."""

    def spend(self) -> None:
        """The budget is used up."""

    def cancel(self, number: int) -> None:
        """Somebody asked for the end of a conversation."""

    def forget(self, group: int) -> None:
        """A group of pieces has ended."""


OpenJob = Callable[[msgspec.Raw, "OwnersRecord"], AbstractAsyncContextManager[Job]]
"""Makes a job of what all its pieces have in common. Raises `SimiaError` if it cannot."""


class OwnersRecord:
    """The run's record, as a worker has it: its owner writes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._waiting: defaultdict[int, deque[asyncio.Future[None]]] = defaultdict(deque)
        """Of each piece, what it has asked for, in order: one that was cancelled meanwhile is
        acknowledged before what it asks for next.
        """

    async def append(self, *records: Any) -> None:
        """Have `records` written in one transaction, for the piece of work in whose task it is
        asked. Returns when they are committed.
        """
        if not records:
            return
        number = _piece.get()
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[number].append(committed)
        self._tell(kept_in(number, records))
        await committed

    def committed(self, number: int) -> None:
        """What a piece of work has asked for is written down."""
        waiting = self._waiting[number]
        committed = waiting.popleft()
        if not waiting:
            del self._waiting[number]
        if not committed.done():
            committed.set_result(None)


class Host:
    """Does the work of one owner. `serve` it once."""

    def __init__(self, jobs: Mapping[str, OpenJob], tell: Tell, place: str) -> None:
        self._jobs = jobs
        self._tell = tell
        self._place = place
        self._record = OwnersRecord(tell)
        self._pieces: dict[int, asyncio.Task[None]] = {}
        self._expiry: asyncio.TimerHandle | None = None

    async def serve(self, hear: Hear) -> None:
        """Until the owner is gone, or wants no more."""
        frames = await hear()
        if not frames:
            return
        begin, *frames = frames
        assert isinstance(begin, Begin)
        async with contextlib.AsyncExitStack() as opened:
            try:
                job = await opened.enter_async_context(
                    self._jobs[begin.job](begin.given, self._record)
                )
            except SimiaError as error:
                self._tell(Failed(str(error), isinstance(error, UsageError)))
                return
            for governor in job.governors.values():
                governor.lease(NOTHING)
            job.hold(held=begin.held)
            self._tell(Ready(self._place))
            while frames or (frames := await hear()):
                for frame in frames:
                    self._obey(job, frame)
                frames = []
            await self._leave_all()

    def _obey(self, job: Job, frame: ToWorker) -> None:
        match frame:
            case Work():
                task = asyncio.create_task(self._do(job, frame))
                self._pieces[frame.number] = task
            case Committed():
                if frame.is_spent:
                    job.spend()
                self._record.committed(frame.number)
            case Leases():
                self._lease(job, frame)
            case Hold():
                job.hold(held=frame.held)
            case Cancel():
                # It may have come together with its work, which begins first.
                asyncio.get_running_loop().call_soon(job.cancel, frame.number)
            case Drop():
                if frame.number in self._pieces:
                    self._pieces[frame.number].cancel()
            case Forget():
                job.forget(frame.group)
            case Begin():
                raise AssertionError("a worker begins once")
            case _:
                assert_never(frame)

    async def _do(self, job: Job, work: Work) -> None:
        _piece.set(work.number)
        try:
            result = await job.do(work.number, work.given)
        except asyncio.CancelledError:
            self._tell(Dropped(work.number))
        except Exception as error:
            self._tell(Broken(work.number, f"{type(error).__name__}: {error}"))
        else:
            self._tell(Ended(work.number, as_raw(result)))
        finally:
            del self._pieces[work.number]

    def _lease(self, job: Job, frame: Leases) -> None:
        for name, lease in frame.leases.items():
            job.governors[name].lease(lease)
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(VALID_S, self._expire, job)
        governors = {name: each.statistics() for name, each in job.governors.items()}
        self._tell(Leased(frame.round, governors, time.process_time()))

    def _expire(self, job: Job) -> None:
        """An owner that is not heard any more may have given our part to others."""
        for governor in job.governors.values():
            governor.lease(NOTHING)

    async def _leave_all(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        tasks = list(self._pieces.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
