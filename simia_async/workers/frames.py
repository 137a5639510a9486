"""What an owner and its workers tell each other. No keys: a worker reads those from its own
environment.

JSON, as the store's payloads are: what can be written down can be sent.
"""

from typing import Any

import msgspec
from simia_store import CallRecord, FactRecord, JudgementRecord, TrajectoryRecord, TurnRecord

from simia_async.clients.governor import GovernorStatistics, Lease

Kept = CallRecord | FactRecord | JudgementRecord | TrajectoryRecord | TurnRecord
"""What a worker may have written down."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first frame: what kind of work comes, and what all of it has in common."""

    job: str
    given: msgspec.Raw
    held: bool = False
    """Whether conversations wait before their next turn."""


class Work(msgspec.Struct, frozen=True, tag=True):
    """One piece of work."""

    number: int
    given: msgspec.Raw


class Committed(msgspec.Struct, frozen=True, tag=True):
    """What a piece of work had asked to be written down is."""

    number: int
    is_spent: bool
    """Whether the budget is used up."""


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """End a conversation: somebody asked for its end."""

    number: int


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Leave a piece of work; it may be taken up later."""

    number: int


class Forget(msgspec.Struct, frozen=True, tag=True):
    """A group of pieces has ended: what they had in common is not needed any more."""

    group: int


class Hold(msgspec.Struct, frozen=True, tag=True):
    """Conversations wait before their next turn from now on, or go on."""

    held: bool


class Leases(msgspec.Struct, frozen=True, tag=True):
    """The worker's part of each endpoint's limits, by the name of its governor."""

    round: int
    leases: dict[str, Lease]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker is there."""

    place: str
    """Process and host."""


class Keep(msgspec.Struct, frozen=True, tag=True):
    """Write these down in one transaction, and say when that is done."""

    number: int
    trajectories: list[TrajectoryRecord] = []
    turns: list[TurnRecord] = []
    facts: list[FactRecord] = []
    judgements: list[JudgementRecord] = []
    calls: list[CallRecord] = []

    def records(self) -> list[Kept]:
        """All of them."""
        return [*self.trajectories, *self.turns, *self.facts, *self.judgements, *self.calls]


class Ended(msgspec.Struct, frozen=True, tag=True):
    """A piece of work is done."""

    number: int
    result: msgspec.Raw


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """A piece of work was left."""

    number: int


class Broken(msgspec.Struct, frozen=True, tag=True):
    """A piece of work raised what nobody expected."""

    number: int
    error: str


class Leased(msgspec.Struct, frozen=True, tag=True):
    """The leases of this round hold, and this is how the worker stands."""

    round: int
    governors: dict[str, GovernorStatistics]
    cpu_s: float
    """CPU time of the process since it began."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker cannot begin."""

    message: str
    usage: bool
    """Whether the input is at fault."""


ToWorker = Begin | Work | Committed | Cancel | Drop | Forget | Hold | Leases
FromWorker = Ready | Keep | Ended | Dropped | Broken | Leased | Failed

_encoder = msgspec.json.Encoder()
_to_worker = msgspec.json.Decoder(list[ToWorker])
_from_worker = msgspec.json.Decoder(list[FromWorker])


def as_raw(value: Any) -> msgspec.Raw:
    """What the frames carry without knowing what it is."""
    return msgspec.Raw(_encoder.encode(value))


def body_of(frames: list[ToWorker] | list[FromWorker]) -> bytes:
    """Several frames as one message."""
    return _encoder.encode(frames)


def to_worker(body: bytes) -> list[ToWorker]:
    """The frames in a message of the owner's."""
    return _to_worker.decode(body)


def from_worker(body: bytes) -> list[FromWorker]:
    """The frames in a message of a worker's."""
    return _from_worker.decode(body)


def kept_in(number: int, records: tuple[Any, ...]) -> Keep:
    """The frame that asks for `records` to be written down."""
    by_type: dict[type, list[Any]] = {}
    for record in records:
        by_type.setdefault(type(record), []).append(record)
    return Keep(
        number,
        by_type.get(TrajectoryRecord, []),
        by_type.get(TurnRecord, []),
        by_type.get(FactRecord, []),
        by_type.get(JudgementRecord, []),
        by_type.get(CallRecord, []),
    )
