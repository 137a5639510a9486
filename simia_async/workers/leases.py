"""Which part of an endpoint's limits each process has. Arithmetic only; `landlord` does the rest.

The parts never add up to more than the whole, whatever happens between two messages:

- What shrinks is sent first, and only when it is acknowledged is it given to others. Who does not
  answer keeps its part in our books.
- A part of a quota that is gained begins empty (`Bucket.lease`), and one that is given up takes
  along what it held. So the levels of all buckets together never rise but by the one rate that
  the endpoint allows: where its own bucket would have admitted one process, it admits all of them.
- Calls in flight count against the places of whoever sent them until they have come back, if it has
  fewer places meanwhile.

A worker that died may have sent all that its bucket held, but nothing since. What it held goes with
it, and whoever gets its rate begins with nothing: over any minute, what it had sent and what the
others send instead is still no more than the one rate brought in, and so its part may be given
away at once. What may not be known is whether it is dead: a node that cannot be reached may still
ask. So a lease ends by itself if it is not renewed for `VALID_S`, and the part of a worker
that may have outlived its link is given away only after that.
"""

import math
from collections.abc import Sequence

import msgspec

from simia_async.clients.governor import Lease

VALID_S = 10.0
"""How long a lease holds if nothing is heard of the owner."""

NOTHING = Lease(1e-9, 0)
"""What a worker has before its first lease, and after the last one ran out."""

_IDLE_WORKER = 1.0
"""A worker is given as much as if it had a call more than it has: the next one will come."""
_IDLE_OWNER = 0.05
"""The owner hardly ever asks while workers do."""


class Holder(msgspec.Struct):
    """One process, as it stands at one endpoint."""

    lease: Lease
    is_owner: bool = False
    demand: int = 0
    """Calls that it has in flight or that wait."""
    in_flight: int = 0

    @property
    def occupied(self) -> int:
        """Places that nobody else can have."""
        return max(self.lease.places, self.in_flight)


def wanted(holders: Sequence[Holder], whole: Lease) -> list[Lease]:
    """How the whole is best divided: by what each has to ask. Every worker has a place, as has an
    owner with something to ask; `whole` has one for each.
    """
    weights = [h.demand + (_IDLE_OWNER if h.is_owner else _IDLE_WORKER) for h in holders]
    total = sum(weights)
    least = [0 if h.is_owner and not h.demand else 1 for h in holders]
    left = whole.places - sum(least)
    if left < 0:
        least, left = [0] * len(holders), whole.places
    ideal = [left * weight / total for weight in weights]
    places = [n + math.floor(part) for n, part in zip(least, ideal, strict=True)]
    by_remainder = sorted(range(len(ideal)), key=lambda i: math.floor(ideal[i]) - ideal[i])
    for i in by_remainder[: max(0, whole.places - sum(places))]:
        places[i] += 1
    shares = [whole.share * weight / total for weight in weights]
    return [Lease(share, n) for share, n in zip(shares, places, strict=True)]


def shrunk(holders: Sequence[Holder], wanted: Sequence[Lease]) -> list[Lease]:
    """What each has left when all have given up what they do not need."""
    return [
        Lease(min(h.lease.share, want.share), min(h.lease.places, want.places))
        for h, want in zip(holders, wanted, strict=True)
    ]


def grown(holders: Sequence[Holder], wanted: Sequence[Lease], whole: Lease) -> list[Lease]:
    """What each has when what is free is given to those who need it."""
    more = [max(0.0, w.share - h.lease.share) for h, w in zip(holders, wanted, strict=True)]
    free_share = max(0.0, whole.share - sum(h.lease.share for h in holders))
    scale = min(1.0, free_share / sum(more)) if sum(more) else 0.0
    free_places = max(0, whole.places - sum(h.occupied for h in holders))
    grown = []
    for holder, want, share in zip(holders, wanted, more, strict=True):
        # A call in flight beyond its places is counted already.
        before = holder.occupied
        places = max(holder.lease.places, min(want.places, before + free_places))
        free_places -= max(0, places - before)
        grown.append(Lease(holder.lease.share + share * scale, places))
    return grown
