"""An owner's side of one worker: what it has been given, and what is heard of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import anyio
import msgspec

from simia_async.clients.governor import GovernorStatistics, Lease
from simia_async.errors import ChildFailed, UsageError
from simia_async.workers.frames import (
    Begin,
    Broken,
    Cancel,
    Committed,
    Drop,
    Dropped,
    Ended,
    Failed,
    FromWorker,
    Keep,
    Kept,
    Leased,
    Leases,
    Ready,
    ToWorker,
    Work,
    body_of,
    from_worker,
)
from simia_async.workers.link import Link, WorkerLost

Commit = Callable[[list[Kept]], Awaitable[bool]]
"""Writes down what a worker tells, in one transaction, and says whether the budget is used up."""

_LEAVE_S = 5.0
"""How long a worker has to tell what a piece of work that it is to leave has cost."""


class Member:
    """One life of one worker. `run` it once."""

    def __init__(self, number: int, link: Link) -> None:
        self.number = number
        self.can_outlive = link.can_outlive
        self.place = ""
        """Process and host, as the worker says."""
        self.is_ready = False
        self.death: WorkerLost | None = None
        self.done = 0
        """Pieces of work that have ended."""
        self.leases: dict[str, Lease] = {}
        """What it has, by the name of the governor; kept by the landlord."""
        self.governors: dict[str, GovernorStatistics] = {}
        """How they last stood."""
        self.cpu_s = 0.0
        self.heard_at = time.monotonic()
        self._link = link
        self._outbox: list[ToWorker] = []
        self._to_send = asyncio.Event()
        self._inboxes: dict[int, asyncio.Queue[FromWorker | WorkerLost]] = {}
        self._acknowledged = 0
        self._news = asyncio.Event()

    @property
    def pieces(self) -> int:
        """How many pieces of work it has."""
        return len(self._inboxes)

    def send(self, frame: ToWorker) -> None:
        """Send a frame, soon; several go out together."""
        self._outbox.append(frame)
        self._to_send.set()

    async def run(self, begin: Begin, on_ready: Callable[["Member"], None]) -> None:
        """Until it is lost: always raises, `WorkerLost`, or what kept it from beginning."""
        self.send(begin)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_all)
                while True:
                    for body in await self._link.receive():
                        self.heard_at = time.monotonic()
                        for frame in from_worker(body):
                            self._take(frame, on_ready)
        except* WorkerLost as lost:
            self.death = _first(lost)
        finally:
            self.is_ready = False
            self._news.set()
            death = self.death or WorkerLost(f"worker {self.number} was ended")
            for inbox in self._inboxes.values():
                inbox.put_nowait(death)
        raise death

    async def do(
        self,
        number: int,
        given: msgspec.Raw,
        commit: Commit,
        *,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> msgspec.Raw:
        """Have a piece of work done; what it came to. Cancelled, the worker leaves it; where
        `is_cancelled`, it brings it to its end.

        Raises `WorkerLost` when the worker ends before, `ChildFailed` when it cannot do it.
        """
        if self.death is not None:
            raise self.death
        inbox = self._inboxes[number] = asyncio.Queue()
        self.send(Work(number, given))
        try:
            result = await self._follow(number, inbox, commit)
            assert result is not None
        except anyio.get_cancelled_exc_class():
            result = await self._end(number, inbox, commit, cancels=is_cancelled())
            if result is None or not is_cancelled():
                raise
        finally:
            del self._inboxes[number]
        self.done += 1
        return result

    async def leased(self, round_: int, timeout_s: float) -> bool:
        """Wait for the worker to say that it has the leases of this round; whether it did."""
        with anyio.move_on_after(timeout_s):
            while self._acknowledged < round_ and self.is_ready:
                await self._news.wait()
        return self._acknowledged >= round_ and self.is_ready

    def lease(self, round_: int, leases: dict[str, Lease]) -> None:
        """Tell it what it has from now on."""
        self.send(Leases(round_, leases))

    async def _end(
        self,
        number: int,
        inbox: "asyncio.Queue[FromWorker | WorkerLost]",
        commit: Commit,
        *,
        cancels: bool,
    ) -> msgspec.Raw | None:
        """Have a piece of work left, with what it has cost so far written down."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_LEAVE_S):
            self.send(Cancel(number) if cancels else Drop(number))
            try:
                return await self._follow(number, inbox, commit)
            except WorkerLost:
                pass
        return None

    async def _follow(
        self, number: int, inbox: "asyncio.Queue[FromWorker | WorkerLost]", commit: Commit
    ) -> msgspec.Raw | None:
        while True:
            frame = await inbox.get()
            match frame:
                case Keep():
                    # The worker waits for it, whoever is cancelled meanwhile.
                    with anyio.CancelScope(shield=True):
                        is_spent = await commit(frame.records())
                    self.send(Committed(number, is_spent))
                case Ended():
                    return frame.result
                case Dropped():
                    return None
                case Broken():
                    raise ChildFailed(f"worker {self.number} ({self.place}): {frame.error}")
                case WorkerLost():
                    raise frame
                case _:
                    raise AssertionError(f"{frame} is for no piece of work")

    def _take(self, frame: FromWorker, on_ready: Callable[["Member"], None]) -> None:
        match frame:
            case Ready():
                self.place, self.is_ready = frame.place, True
                on_ready(self)
            case Leased():
                self.governors, self.cpu_s = frame.governors, frame.cpu_s
                self._acknowledged = frame.round
                self._news.set()
                self._news = asyncio.Event()
            case Failed():
                raise (UsageError if frame.usage else ChildFailed)(frame.message)
            case _:
                # A piece of work that was given up is followed by nobody.
                if (inbox := self._inboxes.get(frame.number)) is not None:
                    inbox.put_nowait(frame)

    async def _send_all(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            frames, self._outbox = self._outbox, []
            await self._link.send(body_of(frames))


def _first(group: BaseExceptionGroup[WorkerLost]) -> WorkerLost:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, WorkerLost)
    return error
