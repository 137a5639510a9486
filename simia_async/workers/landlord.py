"""Sees to it that each process has the part of every endpoint's limits that it can use."""

import time
from collections.abc import Callable, Mapping, Sequence

import anyio

from simia_async.clients.governor import Governor, GovernorStatistics, Lease
from simia_async.workers.leases import NOTHING, VALID_S, Holder, grown, shrunk, wanted
from simia_async.workers.member import Member

_EVERY_S = 1.0
_ANSWER_S = 3.0
"""How long a worker may take to say that it has given something up, before others go without."""


class Landlord:
    """Divides the limits of endpoints between the owner and its workers."""

    def __init__(
        self, governors: Mapping[str, Governor], members: Callable[[], Sequence[Member]]
    ) -> None:
        """`governors` are the owner's own, by name; they have the whole as long as nobody else
        has a part.
        """
        self._governors = governors
        self._members = members
        self._whole = {
            name: Lease(1.0, each.statistics().max_in_flight) for name, each in governors.items()
        }
        self._own = dict(self._whole)
        self._withheld: list[tuple[float, dict[str, Lease]]] = []
        """Parts of workers that may have outlived their links, and when they are free."""
        self._round = 0
        self._wake = anyio.Event()

    async def run(self) -> None:
        """Balance now and then, and when a worker comes."""
        while True:
            await self._balance()
            with anyio.move_on_after(_EVERY_S):
                await self._wake.wait()
            self._wake = anyio.Event()

    async def ask(self) -> None:
        """Hear how all workers stand, for a moment."""
        members = [member for member in self._members() if member.is_ready]
        self._round += 1
        for member in members:
            member.lease(self._round, member.leases)
        with anyio.move_on_after(_EVERY_S):
            for member in members:
                await member.leased(self._round, _ANSWER_S)

    def welcome(self) -> None:
        """A worker has come, which has nothing yet."""
        self._wake.set()

    def bury(self, member: Member) -> None:
        """A worker is lost."""
        if member.can_outlive:
            self._withheld.append((time.monotonic() + VALID_S, member.leases))

    def take_all(self) -> None:
        """The workers are gone: the owner has the whole again."""
        self._own = dict(self._whole)
        for name, governor in self._governors.items():
            governor.lease(self._whole[name])

    async def _balance(self) -> None:
        members = [member for member in self._members() if member.is_ready]
        if not members:
            return
        plans = {
            name: wanted(self._holders(name, members), self._free(name)) for name in self._governors
        }
        less = {name: shrunk(self._holders(name, members), plan) for name, plan in plans.items()}
        self._round += 1
        self._take_owners(less)
        for at, member in enumerate(members, 1):
            member.lease(self._round, _of(at, less))
        for at, member in enumerate(members, 1):
            if await member.leased(self._round, _ANSWER_S):
                member.leases = _of(at, less)
        more = {
            name: grown(self._holders(name, members), plan, self._free(name))
            for name, plan in plans.items()
        }
        if more != less:
            self._round += 1
            self._take_owners(more)
            for at, member in enumerate(members, 1):
                member.leases = _of(at, more)
                member.lease(self._round, member.leases)

    def _holders(self, name: str, members: Sequence[Member]) -> list[Holder]:
        """The owner, then those workers."""
        own = self._governors[name].statistics()
        holders = [_holder(self._own[name], own, is_owner=True)]
        for member in members:
            lease = member.leases.get(name, NOTHING)
            holders.append(_holder(lease, member.governors.get(name), is_owner=False))
        return holders

    def _free(self, name: str) -> Lease:
        """What there is to divide."""
        now = time.monotonic()
        self._withheld = [(until, leases) for until, leases in self._withheld if until > now]
        held = [leases[name] for _, leases in self._withheld if name in leases]
        whole = self._whole[name]
        return Lease(
            max(NOTHING.share, whole.share - sum(lease.share for lease in held)),
            max(0, whole.places - sum(lease.places for lease in held)),
        )

    def _take_owners(self, leases: Mapping[str, list[Lease]]) -> None:
        for name, (own, *_) in leases.items():
            if own != self._own[name]:
                self._own[name] = own
                self._governors[name].lease(own)


def _holder(lease: Lease, stands: GovernorStatistics | None, *, is_owner: bool) -> Holder:
    if stands is None:
        return Holder(lease, is_owner)
    return Holder(lease, is_owner, stands.in_flight + stands.waiting, stands.in_flight)


def _of(at: int, leases: Mapping[str, list[Lease]]) -> dict[str, Lease]:
    return {name: each[at] for name, each in leases.items()}
