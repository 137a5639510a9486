"""One session of a meter: what is lacking is asked, each on its own, within the budget."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, MetricRecord, Store, TrajectoryRecord, TrajectoryStatus
from simia_store.records import Record

from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import AgreementConfig, FidelityConfig, RoleEndpoint, RunKind
from simia_async.errors import BadReply, EndpointError, EndpointRefused
from simia_async.runs.lost import lost_call
from simia_async.runs.meter_plan import UNUSABLE, is_settled
from simia_async.runs.outage import FOR_GOOD, OutageWatch
from simia_async.runs.pulse import pulse
from simia_async.runs.record import record_run
from simia_async.runs.simulators import connect_roles, connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending, run_within
from simia_async.supervision.service import Report

_AHEAD = 2
"""Questions under way for each call that may be in flight."""

Item = TypeVar("Item")
Result = TypeVar("Result")
_Asked = TypeVar("_Asked", contravariant=True)


class Answered(msgspec.Struct, frozen=True):
    """What is written down of an item."""

    trajectory: TrajectoryRecord
    more: Sequence[Record] = ()


class MeterProgress(msgspec.Struct, frozen=True):
    """How far a meter is."""

    done: int
    wanted: int
    failed: int
    """In this session, because the endpoint failed; they are asked again by the next one."""
    spending: SpendingStatistics


@asynccontextmanager
async def open_meter(
    kind: RunKind,
    role: str,
    config: FidelityConfig | AgreementConfig,
    own: RoleEndpoint,
    path: Path,
    report: Report,
) -> AsyncIterator[tuple[ChatClient, ChatClient, Store]]:
    """The simulator's client, that of the `role` that is measured, which may have an endpoint of
    its `own`, and the run's record. Raises `UsageError`, `StoreError` or `EndpointError`.
    """
    async with (
        connect_simulator(config.simulator, config.budget, report) as simulator,
        connect_roles(simulator, config.simulator, {role: own}, config.budget) as clients,
        record_run(path, kind, config, may_continue=True) as store,
    ):
        yield simulator, clients[role], store


class Questions(Protocol[_Asked]):
    """What a meter asks, item by item."""

    role: str

    def begun(self, item: _Asked) -> TrajectoryRecord:
        """The record of an item before it is asked; its id is the item's number."""

    async def ask(self, item: _Asked, ledger: list[CallRecord]) -> Answered:
        """Ask, and give the records of what came. Raises `EndpointError`."""

    def unusable(self, item: _Asked, error: EndpointError) -> Answered:
        """The records of an item whose answer cannot be used, or was refused."""


class MeterSession(Generic[Item]):
    """Asks what is left of a meter's questions."""

    def __init__(
        self,
        questions: Questions[Item],
        client: ChatClient,
        store: Store,
        wanted: int,
        on_progress: Callable[[MeterProgress], None],
    ) -> None:
        self._questions = questions
        self._client = client
        self._store = store
        self._wanted = wanted
        self._on_progress = on_progress
        self._done = 0
        self.failed = 0
        self._outage = OutageWatch()

    async def run(
        self, left: Sequence[Item], stored: Iterable[TrajectoryRecord], report: Report
    ) -> bool:
        """Ask of all that are `left`; whether the budget ended that. `stored` is what earlier
        sessions have begun.

        Raises `EndpointError` if the endpoint fails as a whole; what was committed stays.
        """
        self._done = self._wanted - len(left)
        await self._take_up_spending(stored, report)
        room = _AHEAD * self._client.endpoint.max_in_flight
        units: Iterable[Callable[[], Awaitable[None]]] = (
            partial(self._ask_one, item) for item in left
        )
        begun = await run_within(self._client.spending, units, lambda active: active < room)
        return begun < len(left)

    async def measure(
        self,
        left: Sequence[Item],
        stored: Iterable[TrajectoryRecord],
        report: Report,
        source: str,
        read: Callable[..., tuple[Result, list[MetricRecord]]],
    ) -> Result:
        """`run`, with what the endpoint says of itself written down as `source`; then what `read`
        makes of the record, whose figures are written down too. It is told how many questions
        `failed`, whether the `budget_spent` itself and the `spending`.
        """
        sources = {
            source: self._client.governor.statistics,
            "spending": self.spent,
            "writer": self._store.statistics,
        }
        async with pulse(self._store, sources):
            budget_spent = await self.run(left, stored, report)
            ended = partial(
                read, failed=self.failed, budget_spent=budget_spent, spending=self.spent()
            )
            result, metrics = await anyio.to_thread.run_sync(ended)
            await self._store.append(*metrics)
        return result

    def spent(self) -> SpendingStatistics:
        """What was spent, projected to the end."""
        return self._client.spending.statistics(self._wanted - self._done)

    async def _take_up_spending(self, stored: Iterable[TrajectoryRecord], report: Report) -> None:
        """Count what earlier sessions have spent, and may have paid in vain."""
        killed = [each for each in stored if each.status == TrajectoryStatus.RUNNING]
        lost = [lost_call(self._client.endpoint, self._questions.role, each.id) for each in killed]
        # In one transaction, so that no call is taken for lost twice, whenever this is killed.
        await self._store.append(*map(_asked_again, killed), *lost)
        earlier = await anyio.to_thread.run_sync(earlier_spending, self._store.path)
        self._client.spending.charge_earlier(earlier)
        if lost:
            report(cut_off_sentence(len(lost), earlier))

    async def _ask_one(self, item: Item) -> None:
        begun = self._questions.begun(item)
        ledger: list[CallRecord] = []
        outage: EndpointError | None = None
        try:
            # Before the call, so that a killed run knows what it may have paid for.
            await self._store.append(begun)
            answered = await self._questions.ask(item, ledger)
            self._outage.answered()
        except EndpointError as error:
            if is_unusable(error):
                answered = self._questions.unusable(item, error)
            else:
                answered = Answered(_failed(begun, self._questions.role, error))
                self.failed += 1
                outage = error if self._outage.is_outage(error) else None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._store.append(_asked_again(begun), *ledger)
            raise
        with anyio.CancelScope(shield=True):
            await self._store.append(answered.trajectory, *answered.more, *ledger)
        if outage is not None:
            raise outage
        self._done += is_settled(answered.trajectory)
        self._on_progress(MeterProgress(self._done, self._wanted, self.failed, self.spent()))


def is_unusable(error: EndpointError) -> bool:
    """Whether an error tells of the model: what it said cannot be used, or it would not say it.

    Anything else tells of the way to it, and nothing of what would have been said.
    """
    if isinstance(error, EndpointRefused):
        return error.status not in FOR_GOOD
    return isinstance(error, BadReply)


def settled(
    begun: TrajectoryRecord, reward: float | None, detail: dict[str, Any]
) -> TrajectoryRecord:
    """The record of an item that was answered."""
    return msgspec.structs.replace(
        begun,
        status=TrajectoryStatus.SCORED,
        reward=reward,
        detail={**begun.detail, **detail},
        finished_at=time.time(),
    )


def answered_in_vain(
    begun: TrajectoryRecord, role: str, error: EndpointError, detail: dict[str, Any]
) -> TrajectoryRecord:
    """The record of an item whose answer cannot be used."""
    failed = _failed(begun, role, error)
    return msgspec.structs.replace(
        failed, detail={**begun.detail, **detail, UNUSABLE: type(error).__name__}
    )


def _failed(begun: TrajectoryRecord, role: str, error: EndpointError) -> TrajectoryRecord:
    return msgspec.structs.replace(
        begun,
        status=TrajectoryStatus.UNSCORED,
        boundary="judge" if role == "judge" else "simulator",
        reason=str(error),
        finished_at=time.time(),
    )


def _asked_again(begun: TrajectoryRecord) -> TrajectoryRecord:
    return msgspec.structs.replace(
        begun,
        status=TrajectoryStatus.UNSCORED,
        boundary="cancelled",
        reason="the run was cut off before its answer was there; it is asked again when that goes "
        "on",
        finished_at=time.time(),
    )
