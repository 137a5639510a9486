"""Rollouts as a list reads them: in pages, those that a filter means, its words searched for."""

from functools import partial

import msgspec
from simia_store import Browser, Order, TrajectoryRecord, TrajectoryStatus

from simia_tui.filters import Filter
from simia_tui.shelf import Shelf
from simia_tui.widgets.rows import Rows

_CHUNK = 200
"""Conversations whose messages are searched at once."""


class RolloutRow(msgspec.Struct, frozen=True):
    """What a line shows."""

    record: TrajectoryRecord
    turns: int

    @property
    def id(self) -> int:
        """Number of the trajectory."""
        return self.record.id


class RolloutSource:
    """Trajectories that a filter means, in an order."""

    def __init__(self, shelf: Shelf, wanted: Filter, order: Order, *, descending: bool) -> None:
        self.wanted = wanted
        self.order = order
        self.descending = descending
        self._shelf = shelf
        self._said: dict[int, bool] = {}
        """Which conversations that have ended say what is wanted: looked for once, for all time."""

    async def page(
        self, limit: int, after: RolloutRow | None, *, backwards: bool
    ) -> Rows[RolloutRow]:
        """The next rows, or those before."""
        at = after.record if after else None
        found: list[RolloutRow] = []
        more = True
        while more and len(found) <= limit:
            searches = self.wanted.reads_messages
            size = _CHUNK if searches else limit
            page = await self._shelf.ask(
                partial(self._chunk, size=size, after=at, backwards=backwards)
            )
            found += page[0]
            at, more = page[1], page[2]
            if not searches:
                break
        return Rows(found[:limit], more or len(found) > limit)

    async def count_after(self, row: RolloutRow, limit: int) -> int:
        """How many come after a row."""
        if self.wanted.reads_messages:
            page = await self.page(limit - 1, row, backwards=False)
            return len(page.rows) + page.more
        return await self._shelf.ask(
            lambda browser: browser.count_after(
                limit, self.wanted.matches, row.record,
                order=self.order, descending=self.descending,
            )
        )  # fmt: skip

    def _chunk(
        self, browser: Browser, size: int, after: TrajectoryRecord | None, backwards: bool
    ) -> tuple[list[RolloutRow], TrajectoryRecord | None, bool]:
        """Rows that are wanted among the next, the last that was looked at, whether more follow."""
        page = browser.matching(
            size, self.wanted.matches, after=after, order=self.order,
            descending=self.descending is not backwards,
        )  # fmt: skip
        saying = self._saying(browser, page.rows)
        turns = browser.turn_counts([record.id for record in saying])
        rows = [RolloutRow(record, turns.get(record.id, 0)) for record in saying]
        return rows, page.rows[-1] if page.rows else None, page.more

    def _saying(self, browser: Browser, records: list[TrajectoryRecord]) -> list[TrajectoryRecord]:
        """Those whose messages say what is wanted."""
        if not self.wanted.reads_messages:
            return records
        asked = [record.id for record in records if record.id not in self._said]
        saying = set(asked)
        for word in self.wanted.words:
            saying &= browser.saying(asked, word)
        for word in self.wanted.not_words:
            saying -= browser.saying(asked, word)
        for record in records:
            if record.status != TrajectoryStatus.RUNNING and record.id not in self._said:
                self._said[record.id] = record.id in saying
        return [each for each in records if self._said.get(each.id, each.id in saying)]
