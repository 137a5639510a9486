"""Judging the stored conversations of a run again: another scoring, and nothing overwritten."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from simia_store import (
    CallRecord,
    JudgementRecord,
    Reader,
    RunStatus,
    ScoringRecord,
    Store,
    TrajectoryRecord,
    open_store,
)

from simia_async.clients import ChatClient, Spending, SpendingStatistics
from simia_async.config import JudgeConfig
from simia_async.errors import EndpointError, RunStopped, single_error
from simia_async.judging import Case, Judge, Rubric
from simia_async.runs.docket import Docket, read_docket
from simia_async.runs.lost import lost_call
from simia_async.runs.obedience import last_answers, obey
from simia_async.runs.outage import OutageWatch
from simia_async.runs.pulse import pulse
from simia_async.runs.scorings import Change, is_same, last_change, next_scoring, rewards_of
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending, run_within
from simia_async.runs.stored_cases import case_of
from simia_async.runs.world import record_world
from simia_async.supervision.service import Report

_AHEAD = 2
"""Conversations under way for each call that the judge may have in flight."""


class JudgeResult(msgspec.Struct, frozen=True):
    """What judging came to. Judgements stand in the database at `run`."""

    run: Path
    scoring: int
    judge: str
    """The model that judged; empty where code alone did."""
    wanted: int
    """Conversations that can be judged."""
    judged: int
    """Of them, in this session or an earlier one."""
    failed: int
    """In this session; they are judged when it is started again."""
    reward_mean: float | None
    change: Change | None
    """Against the scoring before; None where no conversation has a reward in both."""
    budget_spent: bool
    """Whether it ended because one more conversation would not fit the budget."""
    spending: SpendingStatistics


class JudgeProgress(msgspec.Struct, frozen=True):
    """How far judging is, in conversations."""

    done: int
    wanted: int
    failed: int
    spending: SpendingStatistics


async def run_judge(
    config: JudgeConfig,
    path: Path,
    *,
    only: Collection[int] = (),
    report: Report,
    on_progress: Callable[[JudgeProgress], None] = lambda _: None,
) -> JudgeResult:
    """Judge every conversation of the run at `path` that ended well, or `only` those of these
    numbers, as one more scoring.

    An unfinished scoring by the same rubric and model goes on. Raises `UsageError`, `StoreError`,
    `EndpointError` or `ChildFailed`; what was committed stays.
    """
    docket = await anyio.to_thread.run_sync(read_docket, config, path, frozenset(only))
    with single_error():
        async with (
            _connect(config, docket.rubric, report) as client,
            open_store(path, durable=config.store.durable) as store,
            _obeying(store),
        ):
            spending = client.spending if client else Spending(config.budget)
            judging = _Judging(docket, client, spending, store, on_progress)
            async with pulse(store, judging.sources()):
                return await judging.run(report)


@asynccontextmanager
async def _connect(
    config: JudgeConfig, rubric: Rubric, report: Report
) -> AsyncIterator[ChatClient | None]:
    """A client of the judge; none where code alone judges."""
    async with AsyncExitStack() as opened:
        client = None
        if rubric.asks_llm:
            connecting = connect_simulator(config.simulator, config.budget, report)
            client = await opened.enter_async_context(connecting)
        yield client


@asynccontextmanager
async def _obeying(store: Store) -> AsyncIterator[None]:
    """End when others ask for it, and answer whoever waits at the end."""
    status = RunStatus.FAILED
    try:
        async with obey(store, {}):
            yield
        status = RunStatus.DONE
    except RunStopped:
        status = RunStatus.STOPPED
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await store.append(*last_answers(await store.waiting_commands(), status))


class _Judging:
    """One session of one scoring."""

    def __init__(
        self,
        docket: Docket,
        client: ChatClient | None,
        spending: Spending,
        store: Store,
        on_progress: Callable[[JudgeProgress], None],
    ) -> None:
        self._docket = docket
        self._client = client
        self._spending = spending
        self._store = store
        self._on_progress = on_progress
        self._judge = Judge(client, docket.environment, docket.rubric)
        self._model = (client.endpoint.model or "") if client else ""
        self._scoring = ScoringRecord(0, {}, "")
        self._done = self._failed = 0
        self._outage = OutageWatch()

    async def run(self, report: Report) -> JudgeResult:
        """Judge what has no judgement yet, as far as the budget goes."""
        self._scoring, known = await anyio.to_thread.run_sync(self._find_scoring)
        await record_world(self._store, self._docket.environment, "judge")
        await self._store.append(self._scoring)
        left = [case for case in self._docket.cases if case.id not in known]
        self._done = len(self._docket.cases) - len(left)
        await self._take_up_spending(len(left), report)
        room = _AHEAD * self._client.endpoint.max_in_flight if self._client else _AHEAD
        begun = await run_within(self._spending, self._units(left), lambda active: active < room)
        result = partial(self._result, budget_spent=begun < len(left))
        return await anyio.to_thread.run_sync(result)

    def _find_scoring(self) -> tuple[ScoringRecord, set[int]]:
        """The scoring to go on with, or a new one; and what it has judged."""
        rubric = msgspec.json.decode(msgspec.json.encode(self._docket.rubric))
        with Reader(self._store.path) as reader:
            scorings = reader.scorings()
            for scoring in reversed(scorings):
                if is_same(scoring, rubric, self._model):
                    known = {
                        each.trajectory_id for each in reader.judgements(scoring_id=scoring.id)
                    }
                    if any(case.id not in known for case in self._docket.cases):
                        return scoring, known
                    break
        return ScoringRecord(next_scoring(scorings), rubric, self._model), set()

    async def _take_up_spending(self, left: int, report: Report) -> None:
        """Count what earlier sessions of this scoring have spent, and may have paid in vain."""
        if self._client is None:
            return
        lost = await anyio.to_thread.run_sync(self._lost_calls, self._client, left)
        await self._store.append(*lost)
        began = self._scoring.created_at
        earlier = await anyio.to_thread.run_sync(
            partial(
                earlier_spending,
                self._store.path,
                counts=lambda call: call.role == "judge" and call.created_at >= began,
            )
        )
        self._spending.charge_earlier(earlier)
        if lost:
            report(cut_off_sentence(len(lost), earlier))

    def _lost_calls(self, client: ChatClient, left: int) -> list[CallRecord]:
        """What stands in the ledger for calls that were in flight when this scoring was killed."""
        with Reader(self._store.path) as reader:
            sessions = reader.sessions()
        was_killed = len(sessions) > 1 and sessions[-2].ended_at is None
        is_new = self._scoring.created_at >= sessions[-1].started_at
        if is_new or not was_killed:
            return []
        most = min(left * self._docket.rubric.votes, client.endpoint.max_in_flight)
        return [lost_call(client.endpoint, "judge", None)] * most

    def _units(self, left: Iterable[TrajectoryRecord]) -> Iterable[Callable[[], Awaitable[None]]]:
        return (partial(self._judge_one, trajectory) for trajectory in left)

    async def _judge_one(self, trajectory: TrajectoryRecord) -> None:
        ledger: list[CallRecord] = []
        records: list[JudgementRecord] = []
        try:
            case = await anyio.to_thread.run_sync(self._case, trajectory)
            verdict = await self._judge.judge(case, ledger, trajectory.id)
            detail = {**verdict.detail, "solved": verdict.solved}
            records.append(
                JudgementRecord(
                    self._scoring.id, trajectory.id, verdict.reward, verdict.reason, detail
                )
            )
            self._outage.answered()
        except EndpointError as error:
            if self._outage.is_outage(error):
                raise
            self._failed += 1
        finally:
            # Stopped from outside too: what its calls may have cost is written down.
            with anyio.CancelScope(shield=True):
                await self._store.append(*records, *ledger)
        self._done += len(records)
        self._on_progress(
            JudgeProgress(self._done, len(self._docket.cases), self._failed, self._statistics())
        )

    def _case(self, trajectory: TrajectoryRecord) -> Case:
        docket = self._docket
        task = docket.tasks[trajectory.task_id]
        with Reader(self._store.path) as reader:
            return case_of(reader, trajectory, task, docket.environment, grounded=docket.grounded)

    def _result(self, *, budget_spent: bool) -> JudgeResult:
        number = self._scoring.id
        with Reader(self._store.path) as reader:
            wanted = {case.id for case in self._docket.cases}
            now = {n: reward for n, reward in rewards_of(reader, number).items() if n in wanted}
            change = last_change(reader, number)
        return JudgeResult(
            run=self._store.path,
            scoring=number,
            judge=self._model,
            wanted=len(self._docket.cases),
            judged=len(now),
            failed=self._failed,
            reward_mean=sum(now.values()) / len(now) if now else None,
            change=change,
            budget_spent=budget_spent,
            spending=self._statistics(),
        )

    def _statistics(self) -> SpendingStatistics:
        return self._spending.statistics(len(self._docket.cases) - self._done)

    def sources(self) -> dict[str, Callable[[], Any]]:
        """What is asked for its statistics now and then."""
        said: dict[str, Callable[[], Any]] = {
            "spending": self._statistics,
            "writer": self._store.statistics,
        }
        return said | ({"judge": self._client.governor.statistics} if self._client else {})
