"""Simia-SFT's data half, end to end: seeds in, kept trajectories in the store."""

import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.streams.memory import MemoryObjectSendStream
from simia_store import (
    CallRecord,
    Reader,
    Store,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)

from simia_async.clients import ChatClient, Spending, SpendingStatistics
from simia_async.config import GenerateConfig
from simia_async.environments import Environment, Seed, load_environment, load_seeds
from simia_async.environments.seeds import declare_from_seeds, successful
from simia_async.errors import BadReply, EndpointError, EndpointRefused, UsageError
from simia_async.runs.pulse import pulse
from simia_async.runs.record import record_run
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import recall_spending
from simia_async.simulation import Simulator
from simia_async.supervision.service import Report
from simia_async.synthesis.rules import Verdict, apply_rules, fingerprint

ATTEMPTS_PER_KEPT = 1.5
"""Simulation stops at this many trajectories per one that is wanted."""

_OUTAGE = 20
"""Failed calls in a row, each beyond its own retry budget, that end the run."""
_REFUSED_FOR_GOOD = (401, 402, 403, 404)
"""HTTP statuses that the next call would get too: key, quota, model."""


class GenerateResult(msgspec.Struct, frozen=True):
    """What a generation run came to. Trajectories stand in the database at `run`."""

    run: Path
    seeds_read: int
    seeds_used: int
    kept: int
    simulated: int
    rejected: Counter[str]
    """How many trajectories each rule or failure kept out."""
    budget_spent: bool
    """Whether the run ended because one more trajectory would not fit the budget."""


class GenerateProgress(msgspec.Struct, frozen=True):
    """How far a run is."""

    kept: int
    rejected: int
    wanted: int
    spending: SpendingStatistics
    """Projected to the end of the run."""


OnProgress = Callable[[GenerateProgress], None]


class Material(msgspec.Struct, frozen=True):
    """What a run works from, read and checked before anything is written."""

    environment: Environment
    seeds: list[Seed]
    seeds_read: int


def read_material(config: GenerateConfig) -> Material:
    """Environment and seeds. Raises `UsageError` naming the file and what is wrong with it."""
    environment = load_environment(config.environment)
    path = Path(config.seeds) if config.seeds else environment.seeds_file
    if path is None:
        raise UsageError(
            f"environment {environment.name!r} comes without seeds; pass --seeds FILE.jsonl"
        )
    seeds = load_seeds(path)
    used = seeds if config.keep_failed else successful(seeds)
    if not used:
        raise UsageError(
            f"{path}: all {len(seeds)} conversations failed their task (`reward` is 0); pass "
            "--keep-failed to amplify them all the same"
        )
    environment = declare_from_seeds(environment, used, config.declare_tools, path)
    return Material(environment, used, len(seeds))


async def run_generate(
    config: GenerateConfig,
    path: Path,
    *,
    report: Report,
    on_progress: OnProgress = lambda _: None,
) -> GenerateResult:
    """Amplify the seeds until `config.n` trajectories are kept. A run that was cut off goes on.

    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    material = read_material(config)
    async with (
        # First, so that a wrong key or host leaves no run behind.
        connect_simulator(config.simulator, config.budget, report) as client,
        record_run(path, "generate", config, may_continue=True) as store,
    ):
        paid_again = await anyio.to_thread.run_sync(recall_spending, path, client.spending)
        if paid_again is not None:
            report(str(paid_again))
        return await _generate(config, material, path, client, store, on_progress)


async def _generate(
    config: GenerateConfig,
    material: Material,
    path: Path,
    client: ChatClient,
    store: Store,
    on_progress: OnProgress,
) -> GenerateResult:
    spending = client.spending
    simulator = Simulator(client, material.environment)
    synthesis = _Synthesis(config, material, simulator, store, spending, on_progress)
    await store.append(material.environment.as_record())
    await anyio.to_thread.run_sync(synthesis.recall, path)
    async with pulse(
        store,
        {
            "simulator": client.governor.statistics,
            "spending": lambda: spending.statistics(config.n - synthesis.kept),
            "writer": store.statistics,
        },
    ):
        await synthesis.run()
    return GenerateResult(
        path,
        material.seeds_read,
        len(material.seeds),
        synthesis.kept,
        len(synthesis.done),
        synthesis.rejected,
        synthesis.budget_spent,
    )


class _Synthesis:
    """Samples in flight, what was kept, and what was seen before."""

    def __init__(
        self,
        config: GenerateConfig,
        material: Material,
        simulator: Simulator,
        store: Store,
        spending: Spending,
        on_progress: OnProgress,
    ) -> None:
        self._config = config
        self._material = material
        self._simulator = simulator
        self._store = store
        self._spending = spending
        self._on_progress = on_progress
        self._seen = {fingerprint(seed.messages) for seed in material.seeds}
        self._limit = math.ceil(config.n * ATTEMPTS_PER_KEPT)
        self._failures_in_a_row = 0
        self.kept = 0
        self.budget_spent = False
        self.rejected: Counter[str] = Counter()
        self.done: set[int] = set()

    def recall(self, path: Path) -> None:
        """Take up what an earlier, cut-off session of this run has committed."""
        with Reader(path) as reader:
            for trajectory in reader.trajectories():
                # What was cut off, and what the endpoint failed at, is asked again; its record is
                # then written anew.
                asked_again = (
                    trajectory.status == TrajectoryStatus.RUNNING
                    or trajectory.boundary == "simulator"
                )
                if not asked_again:
                    self._count(trajectory)
                    self._seen.add(str(trajectory.detail["fingerprint"]))

    async def run(self) -> None:
        """Keep samples in flight until enough are kept or the limit is reached."""
        in_flight = 0
        todo = (i for i in range(1, self._limit + 1) if i not in self.done)
        finished_send, finished = anyio.create_memory_object_stream[None](float("inf"))
        async with finished_send, finished, anyio.create_task_group() as group:
            while True:
                while (
                    self.kept + in_flight < self._config.n
                    and in_flight < self._config.simulator.max_in_flight
                    and self._spending.allows_another()
                    and (index := next(todo, None)) is not None
                ):
                    self._spending.begin()
                    group.start_soon(self._sample, index, finished_send)
                    in_flight += 1
                self._tell()
                if not in_flight:
                    break
                await finished.receive()
                self._spending.end()
                in_flight -= 1
        self.budget_spent = self.kept < self._config.n and not self._spending.allows_another()

    def _tell(self) -> None:
        wanted = self._config.n
        spending = self._spending.statistics(wanted - self.kept)
        self._on_progress(GenerateProgress(self.kept, self.rejected.total(), wanted, spending))

    async def _sample(self, index: int, finished: MemoryObjectSendStream[None]) -> None:
        seed = self._material.seeds[(index - 1) % len(self._material.seeds)]
        ledger: list[CallRecord] = []
        started = time.time()
        task_id = f"{seed.id}/{index}"
        await self._store.append(
            TrajectoryRecord(
                index,
                self._material.environment.name,
                task_id,
                TrajectoryStatus.RUNNING,
                created_at=started,
            )
        )
        try:
            draft = await self._simulator.author(
                seed, self._config.seed + index, ledger, trajectory_id=index
            )
        except EndpointError as error:
            if self._is_outage(error):
                await self._store.append(*ledger)
                raise
            verdict = Verdict([], rejected_by="simulator", reason=str(error))
        else:
            self._failures_in_a_row = 0
            verdict = await anyio.to_thread.run_sync(
                apply_rules, draft.messages, self._material.environment
            )
        trajectory, turns = self._settle(index, task_id, verdict, started)
        await self._store.append(trajectory, *turns, *ledger)
        self._count(trajectory)
        await finished.send(None)

    def _is_outage(self, error: EndpointError) -> bool:
        """Whether the endpoint fails as a whole, so that going on would only use attempts up."""
        if isinstance(error, BadReply):
            return False
        self._failures_in_a_row += 1
        if isinstance(error, EndpointRefused):
            return not self.kept or error.status in _REFUSED_FOR_GOOD
        return self._failures_in_a_row >= _OUTAGE

    def _settle(
        self, index: int, task_id: str, verdict: Verdict, started: float
    ) -> tuple[TrajectoryRecord, list[TurnRecord]]:
        """The records of one sample: duplicates are told from the rest here."""
        rejected_by, reason = verdict.rejected_by, verdict.reason
        mark = fingerprint(verdict.messages)
        if rejected_by is None:
            if mark in self._seen:
                rejected_by, reason = "duplicate", "says the same as a seed or an earlier one"
            self._seen.add(mark)
        boundary = "simulator" if rejected_by == "simulator" else "rule"
        trajectory = TrajectoryRecord(
            id=index,
            environment=self._material.environment.name,
            task_id=task_id,
            status=TrajectoryStatus.REJECTED if rejected_by else TrajectoryStatus.KEPT,
            boundary=boundary if rejected_by else None,
            rejected_by=rejected_by,
            reason=reason,
            detail={"fingerprint": mark, "repairs": verdict.repairs},
            created_at=started,
            finished_at=time.time(),
        )
        turns = [
            TurnRecord(index, position, message.role, message.as_wire(), source="llm")
            for position, message in enumerate(verdict.messages)
        ]
        return trajectory, turns

    def _count(self, trajectory: TrajectoryRecord) -> None:
        self.done.add(trajectory.id)
        if trajectory.status == TrajectoryStatus.KEPT:
            self.kept += 1
        else:
            self.rejected[str(trajectory.rejected_by)] += 1
