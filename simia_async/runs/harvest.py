"""What a generation run has come to so far: what was kept, what was not, what was said before.

Which of two that say the same is kept depends on their numbers, not on which was answered first:
one that passed the rules waits until all before it have ended, and is told from them then.
"""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from simia_store import Reader, TrajectoryRecord, TrajectoryStatus, TurnRecord

from simia_async.environments import Seed
from simia_async.messages import Message
from simia_async.runs.lost import CUT_OFF_CAUSE
from simia_async.synthesis.dedupe import Duplicates, Sketch, sketch
from simia_async.synthesis.rules import Repair, Verdict, fingerprint


class Told(msgspec.Struct, frozen=True):
    """What a conversation says, for comparison with others."""

    fingerprint: str
    sketch: Sketch | None
    """None where only exact duplicates count."""


class Finished(msgspec.Struct, frozen=True):
    """A conversation that an author has written, or failed to."""

    verdict: Verdict
    told: Told | None = None
    """None where the rules have rejected it."""
    slips: list[str] = []
    """What had to be read another way than it was asked for."""


class Settled(msgspec.Struct, frozen=True):
    """A trajectory of which it is known whether it is kept."""

    trajectory: TrajectoryRecord
    messages: list[Message]
    stored: bool
    """Whether the record says so already."""


class _Waiting(msgspec.Struct, frozen=True):
    """One that has passed the rules."""

    trajectory: TrajectoryRecord
    told: Told
    messages: list[Message]


class Harvest:
    """Trajectories that have ended, by what became of them. Each is waited for in turn."""

    def __init__(self, similarity: float) -> None:
        self.kept = 0
        self.rejected: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.done: set[int] = set()
        """Ids of those that will not be asked again."""
        self._similarity = similarity
        self._duplicates = Duplicates(similarity)
        self._waiting: dict[int, _Waiting] = {}
        self._next = 1

    def avoid(self, seeds: Iterable[Seed]) -> None:
        """Nothing that says the same as one of these is kept from now on."""
        for seed in seeds:
            told = self.tell(seed.messages)
            self._duplicates.add(f"seed {seed.id}", told.fingerprint, told.sketch)

    @property
    def waiting(self) -> int:
        """How many have passed the rules and wait for those before them."""
        return len(self._waiting)

    def tell(self, messages: list[Message]) -> Told:
        """What a conversation says. Takes a while; call it off the event loop."""
        return tell(messages, self._similarity)

    def recall(self, path: Path) -> list[TrajectoryRecord]:
        """Take up what earlier sessions have committed; which trajectories they were cut off in.

        What was cut off, and what the endpoint failed at, is asked again.
        """
        unseen = []
        with Reader(path) as reader:
            for trajectory in reader.trajectories():
                killed = trajectory.status == TrajectoryStatus.RUNNING
                if killed or trajectory.rejected_by == CUT_OFF_CAUSE:
                    unseen.append(trajectory)
                elif trajectory.boundary != "simulator":
                    self.take_up(reader, trajectory)
        return unseen

    def take_up(self, reader: Reader, trajectory: TrajectoryRecord) -> None:
        """Count one that an earlier session has committed."""
        self._count(trajectory)
        if trajectory.status == TrajectoryStatus.REJECTED:
            return
        turns = reader.turns(trajectory.id)
        messages = [msgspec.convert(turn.message, Message) for turn in turns]
        told = self.tell(messages)
        if trajectory.status == TrajectoryStatus.PASSED:
            self._waiting[trajectory.id] = _Waiting(trajectory, told, messages)
        else:
            self._keep(trajectory, told)

    def end(
        self, begun: TrajectoryRecord, finished: Finished
    ) -> tuple[TrajectoryRecord, list[TurnRecord]]:
        """The records of a trajectory that has ended. It counts from `arrive` on."""
        verdict = finished.verdict
        repairs = [Repair("draft_form", slip) for slip in finished.slips] + verdict.repairs
        called = {c.function.name for m in verdict.messages for c in m.tool_calls or ()}
        detail = {
            **begun.detail,
            "tools": sorted(called),
            "repairs": [msgspec.to_builtins(each) for each in repairs],
        }
        ended = msgspec.structs.replace(
            begun, status=TrajectoryStatus.PASSED, detail=detail, finished_at=time.time()
        )
        if finished.told is None:
            boundary = "simulator" if verdict.rejected_by == "simulator" else "rule"
            ended = _rejected(ended, boundary, str(verdict.rejected_by), verdict.reason)
        elif begun.id == self._next:
            ended = self._told_apart(ended, finished.told)
        turns = [
            TurnRecord(begun.id, position, message.role, message.as_wire(), source="llm")
            for position, message in enumerate(verdict.messages)
        ]
        return ended, turns

    def end_now(
        self, begun: TrajectoryRecord, finished: Finished
    ) -> tuple[TrajectoryRecord, list[TurnRecord]]:
        """The records of one that waits for no other, counted."""
        self._next = begun.id
        ended, turns = self.end(begun, finished)
        self.arrive(ended, finished)
        return ended, turns

    def arrive(self, ended: TrajectoryRecord, finished: Finished) -> list[Settled]:
        """Count a trajectory whose records are committed; it, and those that waited for it, if
        that settles them.
        """
        self._count(ended)
        messages = finished.verdict.messages
        if ended.status == TrajectoryStatus.PASSED and finished.told is not None:
            self._waiting[ended.id] = _Waiting(ended, finished.told, messages)
            return self.settle()
        if ended.status == TrajectoryStatus.KEPT and finished.told is not None:
            self._keep(ended, finished.told)
        return [Settled(ended, messages, stored=True), *self.settle()]

    def settle(self) -> list[Settled]:
        """Settle those that waited and whose turn has come."""
        settled = []
        while self._next in self.done:
            if self._next in self._waiting:
                settled.append(self._settle(self._next))
            self._next += 1
        return settled

    def settle_rest(self) -> list[Settled]:
        """Settle those that wait for some that will not come any more."""
        return [self._settle(number) for number in sorted(self._waiting)]

    def _settle(self, number: int) -> Settled:
        waiting = self._waiting.pop(number)
        trajectory = self._told_apart(waiting.trajectory, waiting.told)
        if trajectory.status == TrajectoryStatus.KEPT:
            self._keep(trajectory, waiting.told)
        else:
            self.rejected[str(trajectory.rejected_by)] += 1
        return Settled(trajectory, waiting.messages, stored=False)

    def _told_apart(self, passed: TrajectoryRecord, told: Told) -> TrajectoryRecord:
        """Kept, or rejected as a duplicate."""
        duplicate = self._duplicates.of(told.fingerprint, told.sketch)
        if duplicate is None:
            return msgspec.structs.replace(passed, status=TrajectoryStatus.KEPT)
        like = "says the same" if duplicate.exact else f"is {duplicate.similarity:.0%} alike"
        cause = "duplicate" if duplicate.exact else "near_duplicate"
        return _rejected(passed, "rule", cause, f"{like} as {duplicate.of}")

    def _keep(self, trajectory: TrajectoryRecord, told: Told) -> None:
        self.kept += 1
        self._duplicates.add(f"trajectory {trajectory.id}", told.fingerprint, told.sketch)

    def _count(self, trajectory: TrajectoryRecord) -> None:
        self.done.add(trajectory.id)
        self.repaired.update({each["rule"] for each in trajectory.detail.get("repairs", ())})
        if trajectory.status == TrajectoryStatus.REJECTED:
            self.rejected[str(trajectory.rejected_by)] += 1

    def tries_for(self, more: int) -> float:
        """How many trajectories it is likely to take until `more` are kept."""
        return more * len(self.done) / self.kept if self.kept else float(more)


def tell(messages: list[Message], similarity: float) -> Told:
    """What a conversation says, for one who counts what is so similar as a duplicate."""
    return Told(fingerprint(messages), sketch(messages) if similarity < 1 else None)


def _rejected(
    trajectory: TrajectoryRecord, boundary: str, cause: str, reason: str | None
) -> TrajectoryRecord:
    return msgspec.structs.replace(
        trajectory,
        status=TrajectoryStatus.REJECTED,
        boundary=boundary,
        rejected_by=cause,
        reason=reason,
    )
