"""How many conversations are under way, and whose turn it is to begin.

Those that have begun go first: a new one begins only when there is room beside them. Groups stay
together: none begins before all rollouts of the one before it have.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec

from simia_async.clients import Spending
from simia_async.clients.spending import Unit
from simia_async.rollouts.gate import Gate

Group = Callable[[Callable[[], None]], Awaitable[None]]
"""Plays a group, and calls what it is given when all its rollouts have room or have ended."""


class SchedulerStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a screen shows of the scheduler."""

    concurrency: int
    """Conversations that may be under way."""
    active: int
    """Those that are."""
    waiting: int
    """Rollouts of groups that have begun which wait for room."""
    groups: int
    """Groups that have begun and not ended."""
    paused: bool


class Scheduler:
    """Runs groups of conversations within a concurrency and a budget, both of which may change."""

    def __init__(self, concurrency: int, spending: Spending) -> None:
        self.gate = Gate(lambda: spending.is_exceeded)
        self._concurrency = concurrency
        self._spending = spending
        self._active = self._waiting = 0
        self._placing: Unit | None = None
        """The last group that began, as long as some of its rollouts wait for room."""
        self._changed = anyio.Event()

    def set_concurrency(self, concurrency: int) -> None:
        """From now on. What is under way beyond it goes on to its end."""
        self._concurrency = concurrency
        self._tell()

    def look_again(self) -> None:
        """What `may_begin` of `run` goes by has changed."""
        self._tell()

    def statistics(self) -> SchedulerStatistics:
        """Where it stands."""
        return SchedulerStatistics(
            self._concurrency,
            self._active,
            self._waiting,
            self._spending.active,
            self.gate.is_paused,
        )

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Room for one conversation."""
        self._waiting += 1
        try:
            while not self._has_room or self.gate.is_paused:
                await self._changed.wait()
        finally:
            self._waiting -= 1
            self._tell()
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._tell()

    async def run(
        self, groups: Iterable[Group], may_begin: Callable[[], bool] = lambda: True
    ) -> int:
        """Run them, each when there is room for one of its conversations and the budget and
        `may_begin` allow it; how many were begun.

        Ends when all have ended, or when none is under way and the budget allows no other.
        """
        begun = 0
        # One is taken only when it may begin, so that whoever goes on with the rest misses none.
        remaining = iter(groups)
        async with anyio.create_task_group() as tasks:
            while await self._room_for_one_more(may_begin):
                group = next(remaining, None)
                if group is None:
                    break
                self._placing = self._spending.begin()
                tasks.start_soon(self._run_one, group, self._placing)
                begun += 1
        return begun

    async def _room_for_one_more(self, may_begin: Callable[[], bool]) -> bool:
        """Wait until one more group may begin; False if the budget will never allow it."""
        while not (self._may_begin() and may_begin()):
            if not self._spending.active and not self._spending.allows_another():
                return False
            await self._changed.wait()
        return True

    async def _run_one(self, group: Group, unit: Unit) -> None:
        try:
            with unit:
                await group(partial(self._placed, unit))
        finally:
            self._tell()

    def _placed(self, unit: Unit) -> None:
        # A group says so at its end as well, when another one may have begun.
        if self._placing is unit:
            self._placing = None
            self._tell()

    def _may_begin(self) -> bool:
        return (
            self._has_room
            and self._placing is None
            and not self.gate.is_paused
            and self._spending.allows_another()
        )

    @property
    def _has_room(self) -> bool:
        return self._active < self._concurrency

    def pause(self) -> None:
        """Hold every conversation before its next turn, and begin none."""
        self.gate.pause()

    def resume(self) -> None:
        """Go on."""
        self.gate.resume()
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
