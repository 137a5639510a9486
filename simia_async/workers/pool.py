"""All workers of a run: who gets a piece of work, and what is done when one dies."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.abc
import msgspec

from simia_async.clients.governor import Governor, GovernorStatistics
from simia_async.errors import ChildFailed, single_error
from simia_async.supervision.service import RESTARTS, Report
from simia_async.workers.frames import Begin, Forget, Hold
from simia_async.workers.landlord import Landlord
from simia_async.workers.link import Connect, WorkerLost
from simia_async.workers.member import Member
from simia_async.workers.statistics import WorkerStatistics, together, what_was


class Slot(msgspec.Struct):
    """The place of one worker, which may have several lives."""

    number: int
    member: Member | None = None
    """None between two lives, and after the last one."""
    place: str = ""
    """Process and host of the latest that was ready."""
    lives: int = 0
    done: int = 0
    """Pieces of work that its earlier lives have ended."""
    cpu_s: float = 0.0
    """What those have used, as far as it was told."""


class Pool:
    """Made by `open_pool`."""

    def __init__(
        self,
        count: int,
        connect: Connect,
        begin: Begin,
        governors: Mapping[str, Governor],
        report: Report,
    ) -> None:
        self._connect = connect
        self._begin = begin
        self._governors = governors
        self._report = report
        self._slots = [Slot(number) for number in range(1, count + 1)]
        self._left = count
        """Slots that are not given up."""
        self._past: dict[str, list[GovernorStatistics]] = {name: [] for name in governors}
        """Governors of lives that are over, without what they had under way."""
        self._landlord = Landlord(governors, self._members)
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope(shield=True)

    async def pick(self) -> Member:
        """The worker that has least to do; waits as long as none is there."""
        while not (ready := [member for member in self._members() if member.is_ready]):
            await self._changed.wait()
        return min(ready, key=lambda member: member.pieces)

    def hold(self, *, held: bool) -> None:
        """Let all conversations wait before their next turn, or go on."""
        self._begin = msgspec.structs.replace(self._begin, held=held)
        for member in self._members():
            member.send(Hold(held))

    def forget(self, group: int) -> None:
        """A group of pieces has ended."""
        for member in self._members():
            member.send(Forget(group))

    def sources(self) -> dict[str, Callable[[], msgspec.Struct]]:
        """What is asked for its statistics: each worker, and each endpoint over all of them."""
        workers: dict[str, Callable[[], msgspec.Struct]] = {
            f"worker {slot.number}": partial(_statistics, slot) for slot in self._slots
        }
        return workers | {name: partial(self._together, name) for name in self._governors}

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Keep the workers alive until `end`. Raises `ChildFailed` when none is left.

        Shielded: work that is cancelled still has to be told to its worker.
        """
        with self._scope:
            async with anyio.create_task_group() as tasks:
                for slot in self._slots:
                    tasks.start_soon(self._keep_alive, slot)
                # All, or the first one would be given everything.
                while not all(slot.place for slot in self._slots):
                    await self._changed.wait()
                tasks.start_soon(self._landlord.run)
                task_status.started()

    async def last_words(self) -> None:
        """Hear once more how the workers stand."""
        await self._landlord.ask()

    def end(self) -> None:
        """End all workers; their owner has all limits again."""
        self._scope.cancel()
        for slot in self._slots:
            self._bury(slot)
        self._landlord.take_all()

    def _members(self) -> list[Member]:
        return [slot.member for slot in self._slots if slot.member is not None]

    async def _keep_alive(self, slot: Slot) -> None:
        for life in range(RESTARTS + 1):
            slot.lives = life + 1
            try:
                async with self._connect(f"worker {slot.number}") as link:
                    slot.member = Member(slot.number, link)
                    await slot.member.run(self._begin, self._welcome)
            except WorkerLost as death:
                if not slot.place:
                    raise
                self._bury(slot)
                if life < RESTARTS:
                    self._report(f"{death}; starting it again ({life + 1} of {RESTARTS})")
                else:
                    self._give_up(death)

    def _welcome(self, member: Member) -> None:
        self._slots[member.number - 1].place = member.place
        self._landlord.welcome()
        self._tell()

    def _bury(self, slot: Slot) -> None:
        member, slot.member = slot.member, None
        if member is not None:
            slot.done += member.done
            slot.cpu_s += member.cpu_s
            self._landlord.bury(member)
            for name, stands in member.governors.items():
                self._past[name].append(what_was(stands))

    def _give_up(self, death: WorkerLost) -> None:
        self._left -= 1
        if not self._left:
            raise ChildFailed(f"no worker is left; the last one: {death}")
        self._report(f"{death}; it died {RESTARTS + 1} times and is not started again")

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _together(self, name: str) -> GovernorStatistics:
        own = self._governors[name].statistics()
        theirs = [m.governors[name] for m in self._members() if name in m.governors]
        return together([own, *theirs, *self._past[name]])


def _statistics(slot: Slot) -> WorkerStatistics:
    member = slot.member
    restarts = max(0, slot.lives - 1)
    if member is None:
        return WorkerStatistics(
            slot.number, slot.place, False, 0, 0, 0, slot.done, 0.0, {}, 0.0, restarts, slot.cpu_s
        )
    governors = member.governors.values()
    shares = {name: lease.share for name, lease in member.leases.items()}
    return WorkerStatistics(
        slot.number,
        slot.place,
        member.is_ready,
        sum(g.in_flight for g in governors),
        sum(g.waiting for g in governors),
        member.pieces,
        slot.done + member.done,
        shares.get("simulator", 0.0),
        shares,
        time.monotonic() - member.heard_at,
        restarts,
        slot.cpu_s + member.cpu_s,
    )


@asynccontextmanager
async def open_pool(
    count: int,
    connect: Connect,
    job: str,
    given: msgspec.Raw,
    governors: Mapping[str, Governor],
    report: Report,
) -> AsyncIterator[Pool]:
    """`count` workers that do `job`, with what all its pieces have in common; gone on exit. The
    `governors` are the owner's, by the names that the job's have.

    Raises `ChildFailed` if a worker cannot begin, or when none is left, and `UsageError` if what
    they are given is at fault.
    """
    pool = Pool(count, connect, Begin(job, given), governors, report)
    with single_error():
        async with anyio.create_task_group() as tasks:
            await tasks.start(pool.serve)
            try:
                yield pool
                await pool.last_words()
            finally:
                pool.end()
