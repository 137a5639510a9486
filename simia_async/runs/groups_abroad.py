"""Conversations that are held in workers: their owner's end.

All rollouts of a group are with one worker, where their world is. When that is lost, what it had
told is in the store: the whole group goes on from there with another.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, FactRecord, Reader

from simia_async.clients.governor import Governor
from simia_async.clients.spending import Amount
from simia_async.config import RolloutConfig
from simia_async.messages import Message
from simia_async.rollouts.conversation import Conversation, Outcome, Seat, Setting
from simia_async.rollouts.groups import GroupPlan, Member
from simia_async.rollouts.stop_reason import StopReason
from simia_async.runs.actors_abroad import JOB, Given, Line, Ticket, decode_played
from simia_async.runs.lost import lost_call
from simia_async.runs.plot import Plot
from simia_async.runs.rollout_recall import goes_on, next_role
from simia_async.runs.shipping import ship
from simia_async.runs.staffing import open_workers
from simia_async.runs.stage import Stage
from simia_async.supervision.service import Report
from simia_async.workers.frames import Kept, as_raw
from simia_async.workers.link import WorkerLost
from simia_async.workers.member import Member as Worker
from simia_async.workers.pool import Pool


class Troupe:
    """The workers that hold a run's conversations. Made by `open_troupe`."""

    def __init__(self, pool: Pool, stage: Stage, votes: int) -> None:
        self.pool = pool
        self.stage = stage
        self.votes = votes
        self.tokens: dict[int, int] = {}
        """Of prompt and reply at the policy's last turn of conversations under way."""
        self._dearest_call = Amount()

    @asynccontextmanager
    async def group(self, plan: GroupPlan) -> AsyncIterator["GroupAbroad"]:
        """Where the rollouts of a group are played."""
        group = GroupAbroad(self, plan)
        try:
            yield group
        finally:
            self.pool.forget(plan.id)

    async def commit(self, records: list[Kept]) -> bool:
        """Write down what a worker tells; whether the budget is used up."""
        await self.stage.store.append(*records)
        spending = self.stage.spending
        for call in records:
            if not isinstance(call, CallRecord):
                continue
            if call.role == "policy" and call.status == "ok" and call.trajectory_id is not None:
                self.tokens[call.trajectory_id] = call.tokens_in + call.tokens_out
            self._dearest_call = self._dearest_call.at_least(Amount.of(call))
            spending.charge(call)
        return spending.is_exceeded

    async def write_off(self, lost: list[tuple[int, str]]) -> None:
        """Enter calls that nobody will see answered: conversations, and the roles asked there."""
        calls = [
            lost_call(self.stage.clients[role].endpoint, role, number)
            for number, role in lost
            for _ in range(self.votes if role == "judge" else 1)
        ]
        await self.stage.store.append(*calls)
        self.stage.spending.lose(len(calls), self._dearest_call)


class GroupAbroad:
    """One group, and the worker that has it."""

    def __init__(self, troupe: Troupe, plan: GroupPlan) -> None:
        self._troupe = troupe
        self._plan = plan
        self._facts = plan.facts
        """What the next worker that gets the group has to know."""
        self._found: dict[int, Member] | None = None
        """Rollouts as a lost worker has left them; None: they are as they were planned."""
        self._worker: Worker | None = None
        self._under_way: set[int] = set()
        """Rollouts that are with the worker."""
        self._left: set[int] = set()
        """Those that were with it when it was lost."""
        self._settling = anyio.Lock()
        self._all_noticed = anyio.Event()

    async def play(self, setting: Setting, seat: Seat) -> Outcome:
        """Play one rollout to its end, wherever. As `run_rollout`; raises `ChildFailed` as well,
        when no worker is left.
        """
        number = seat.trajectory_id
        with setting.gate.enter(number) as scope:
            while True:
                worker = await self._worker_of_all()
                seat = self._as_found(seat)
                if seat.begun is not None and not goes_on(seat.begun):
                    return _ended(seat)
                ticket = as_raw(Ticket.of(seat, self._plan.id, self._facts))
                self._facts = ()
                self._under_way.add(number)
                try:
                    played = await worker.do(
                        number,
                        ticket,
                        self._troupe.commit,
                        is_cancelled=lambda: scope.cancel_called,
                    )
                except WorkerLost:
                    self._left.add(number)
                    continue
                finally:
                    self._under_way.discard(number)
                    if not self._under_way:
                        self._all_noticed.set()
                self._troupe.tokens.pop(number, None)
                return decode_played(played).outcome(number, seat.task)
        # Cancelled while it waited for a worker.
        return await Conversation(setting, self._as_found(seat)).cancelled()

    async def _worker_of_all(self) -> Worker:
        """The group's worker; another one if that was lost, when it is known what it has left."""
        async with self._settling:
            if self._worker is not None and self._worker.death is not None:
                # Each that was there may still be writing down what it had heard.
                while self._under_way:
                    self._all_noticed = anyio.Event()
                    await self._all_noticed.wait()
                await self._read_back()
                self._worker = None
            if self._worker is None:
                self._worker = await self._troupe.pool.pick()
            return self._worker

    async def _read_back(self) -> None:
        """What the store holds of the group; calls that were under way are lost."""
        store, tokens = self._troupe.stage.store, self._troupe.tokens

        def read() -> tuple[list[FactRecord], dict[int, Member]]:
            with Reader(store.path) as reader:
                members = {
                    record.id: Member(
                        record,
                        reader.turns(record.id),
                        tokens.get(record.id, 0),
                        reader.facts(trajectory_id=record.id),
                        is_done=not goes_on(record),
                    )
                    for record in list(reader.trajectories(group_id=self._plan.id))
                }
                return reader.facts(group_id=self._plan.id), members

        self._facts, found = await anyio.to_thread.run_sync(read)
        self._found = found
        left = [(number, found[number]) for number in sorted(self._left) if number in found]
        self._left.clear()
        await self._troupe.write_off([(n, next_role(m.turns)) for n, m in left if not m.is_done])

    def _as_found(self, seat: Seat) -> Seat:
        member = (self._found or {}).get(seat.trajectory_id)
        if member is None:
            return seat
        return Seat(
            seat.trajectory_id,
            seat.task,
            seat.facts,
            seat.seed,
            member.record,
            member.turns,
            member.tokens or seat.tokens,
            member.facts,
        )


def _ended(seat: Seat) -> Outcome:
    """Of one whose end was written down, but not told any more."""
    record = seat.begun
    assert record is not None
    heard = [turn.message for turn in seat.turns if not turn.is_users_own]
    return Outcome(
        record.id,
        seat.task,
        StopReason(str(record.stop_reason)),
        record.reward,
        record.detail.get("solved"),
        record.reason,
        msgspec.convert(heard, list[Message]),
    )


@asynccontextmanager
async def open_troupe(
    config: RolloutConfig, plot: Plot, stage: Stage, version: int, report: Report
) -> AsyncIterator[Troupe]:
    """As many workers as the settings say, told what all conversations have in common."""
    names = _governors(stage)
    lines = {
        role: Line(client.endpoint, names[id(client.governor)])
        for role, client in stage.clients.items()
    }
    governors: Mapping[str, Governor] = {
        names[id(client.governor)]: client.governor for client in stage.clients.values()
    }
    place = stage.host.place
    assert place is not None, "the policy of such a run stands at an endpoint"
    given = Given(config, ship(plot.environment), plot.rubric, lines, place, version)
    async with open_workers(config, JOB, as_raw(given), governors, report) as pool:
        sources = pool.sources()
        # Roles that share a governor tell the same of it.
        sources |= {
            role: sources[names[id(client.governor)]]
            for role, client in stage.clients.items()
            if role in stage.told
        }
        stage.told |= sources
        pool.hold(held=stage.scheduler.gate.is_paused)
        stage.hold_also = lambda held: pool.hold(held=held)
        yield Troupe(pool, stage, plot.rubric.votes)


def _governors(stage: Stage) -> dict[int, str]:
    """Each governor's name: that of the simulator, else of the first role that it has."""
    clients = stage.clients
    names: dict[int, str] = {}
    for role in ["simulator", *clients]:
        names.setdefault(id(clients[role].governor), role)
    return names
