"""The world that the rollouts of a group share: its state, and what it has answered so far."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import anyio
from simia_store import CallRecord, FactRecord

from simia_async.simulation.grounding.observation import State
from simia_async.simulation.state import apply_ops

Made = TypeVar("Made")


Commit = Callable[..., Awaitable[Any]]
"""Stores a `FactRecord` and the `CallRecord`s of the calls made for it; returns when that is done.
"""


class SharedFacts:
    """Facts of one group. A fact is committed before anybody uses it; the first one stays."""

    def __init__(self, group_id: int | None, snapshot: State, commit: Commit) -> None:
        """`group_id` None: nothing is shared, each rollout keeps its facts for itself."""
        self.group_id = group_id
        self.snapshot = snapshot
        self.state = snapshot
        """The snapshot with all facts; it is replaced, never changed."""
        self.facts: list[FactRecord] = []
        """In the order of their commits."""
        self.known: dict[str, FactRecord] = {}
        """The same by call."""
        self._commit = commit
        self._committing = anyio.Lock()
        self._asking: dict[str, anyio.Event] = {}

    def restore(self, facts: Iterable[FactRecord]) -> None:
        """Take up the group's facts of an earlier session, in the order of their commits."""
        for fact in facts:
            self._take(fact)

    async def once(self, call: str, make: Callable[[], Awaitable[Made]]) -> FactRecord | Made:
        """The fact of a call, or what `make` makes of it while all others who want it wait.

        If `make` leaves no fact, or fails, the next of those who wait makes it.
        """
        while call not in self.known and (others := self._asking.get(call)) is not None:
            await others.wait()
        if call in self.known:
            return self.known[call]
        done = self._asking[call] = anyio.Event()
        try:
            return await make()
        finally:
            del self._asking[call]
            done.set()

    async def add(
        self, make: Callable[[], FactRecord | None], ledger: list[CallRecord]
    ) -> FactRecord | None:
        """Commit the fact that `make` makes of the state as it is now, and the calls in `ledger`,
        which is emptied. None if `make` makes none.
        """
        async with self._committing:
            fact = make()
            if fact is None:
                return None
            # A commit that has begun is finished, whoever is cancelled: what is stored counts.
            with anyio.CancelScope(shield=True):
                await self._commit(fact, *ledger)
            ledger.clear()
            self._take(fact)
            return fact

    def as_of(self, count: int) -> tuple[State, dict[str, FactRecord]]:
        """The state with the first `count` facts, and what was known then, by call."""
        if count == len(self.facts):
            return self.state, dict(self.known)
        then = SharedFacts(self.group_id, self.snapshot, self._commit)
        then.restore(self.facts[:count])
        return then.state, then.known

    def _take(self, fact: FactRecord) -> None:
        self.state = apply_ops(self.state, fact.ops)
        self.facts.append(fact)
        self.known.setdefault(fact.call, fact)
