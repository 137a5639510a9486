"""Simia-SFT's data half, end to end: seeds in, kept trajectories in the store."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, Store, TrajectoryRecord, TrajectoryStatus

from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import GenerateConfig
from simia_async.environments import Seed
from simia_async.errors import EndpointError
from simia_async.messages import Message
from simia_async.runs.authoring import Author, rule_settings
from simia_async.runs.authors_abroad import JOB, AuthorsAbroad, given_to_authors
from simia_async.runs.harvest import Finished, Harvest, Settled
from simia_async.runs.lost import cut_off, lost_call
from simia_async.runs.material import Material, read_material
from simia_async.runs.outage import OutageWatch
from simia_async.runs.pulse import Sources, pulse
from simia_async.runs.record import record_run
from simia_async.runs.seed_review import choose_seeds, write_down_lost_reviews
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending, run_within
from simia_async.runs.staffing import check_places, check_ray, is_staffed, open_workers
from simia_async.runs.world import record_world
from simia_async.supervision.service import Report
from simia_async.synthesis.plans import Plan, plans
from simia_async.synthesis.rules import Verdict

ATTEMPTS_PER_KEPT = 1.5
"""Simulation stops at this many trajectories per one that is wanted."""

_WAITING_PER_CALL = 10
"""How many that passed the rules may wait for a slow one before them, for each call in flight."""


class GenerateResult(msgspec.Struct, frozen=True):
    """What a generation run came to. Trajectories stand in the database at `run`."""

    run: Path
    seeds_read: int
    seeds_used: int
    seeds_rejected: Counter[str]
    """Seeds that were not used, by cause."""
    kept: int
    simulated: int
    repaired: Counter[str]
    """How many trajectories each rule repaired, rejected ones among them."""
    rejected: Counter[str]
    """How many trajectories each rule or failure kept out."""
    budget_spent: bool
    """Whether the run ended because one more trajectory would not fit the budget."""
    spending: SpendingStatistics
    """Of all sessions of the run."""


class GenerateProgress(msgspec.Struct, frozen=True):
    """How far a run is."""

    reviewing: bool
    """Whether seeds are still reviewed, and nothing is simulated yet."""
    reviewed: int
    """Seeds that the pre-filter has decided on."""
    seeds: int
    kept: int
    rejected: int
    wanted: int
    spending: SpendingStatistics
    """Projected to the end of the run."""


class KeptTrajectory(msgspec.Struct, frozen=True):
    """A trajectory as it is kept."""

    id: int
    seed: str
    """Id of the seed it was made from."""
    messages: list[Message]


Write = Callable[[Plan, list[CallRecord]], Awaitable[Finished]]
"""Has a plan written, and enters what that costs into the ledger. Raises `EndpointError`."""
OnProgress = Callable[[GenerateProgress], None]
OnKept = Callable[[KeptTrajectory], Awaitable[None]]


async def run_generate(
    config: GenerateConfig,
    path: Path,
    *,
    report: Report,
    on_progress: OnProgress = lambda _: None,
    on_kept: OnKept | None = None,
) -> GenerateResult:
    """Amplify the seeds until `config.n` trajectories are kept. A run that was cut off goes on.

    `on_kept` hears of every trajectory of this session that is kept, in the order of their ids; as
    long as it is busy, nothing new is begun behind it.
    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    check_places(config.workers, [config.simulator.max_in_flight])
    check_ray(config.ray)
    material = await anyio.to_thread.run_sync(read_material, config)
    async with (
        # First, so that a wrong key or host leaves no run behind.
        connect_simulator(config.simulator, config.budget, report) as client,
        record_run(path, "generate", config, may_continue=True) as store,
    ):
        generation = _Generation(config, material, client, store, report, on_progress, on_kept)
        async with pulse(store, generation.sources):
            return await generation.run()


class _Generation:
    """A run, from the first seed that is reviewed to the last trajectory."""

    def __init__(
        self,
        config: GenerateConfig,
        material: Material,
        client: ChatClient,
        store: Store,
        report: Report,
        on_progress: OnProgress,
        on_kept: OnKept | None,
    ) -> None:
        self._config = config
        self._material = material
        self._environment = material.environment
        self._client = client
        self._store = store
        self._report = report
        self._on_progress = on_progress
        self._on_kept = on_kept
        self.sources: Sources = {
            "simulator": client.governor.statistics,
            "spending": self.spending,
            "writer": store.statistics,
        }
        """Who is asked for statistics now and then."""
        self._limit = math.ceil(config.n * ATTEMPTS_PER_KEPT)
        self._outage = OutageWatch()
        self._harvest = Harvest(config.similarity)
        self._telling = anyio.Lock()
        self._reviewing = True
        self._reviewed = 0

    async def run(self) -> GenerateResult:
        """Choose the seeds, then simulate until enough are kept, the attempts are used up, or the
        budget is spent.
        """
        await record_world(self._store, self._environment, "author")
        has_begun = await self._recall()
        seeds = await choose_seeds(
            self._config,
            self._material,
            self._client,
            self._store,
            self._tell_reviewed,
            settings=rule_settings(self._config),
            # Plans go through the seeds: with one more, all later ones would be others.
            may_review=not has_begun,
        )
        await anyio.to_thread.run_sync(self._harvest.avoid, seeds.used)
        await self._announce(self._harvest.settle())
        self._reviewing = False
        self._tell()
        async with self._authors() as write:
            budget_spent = await self._simulate(seeds.used, write)
        return GenerateResult(
            run=self._store.path,
            seeds_read=self._material.seeds_read,
            seeds_used=len(seeds.used),
            seeds_rejected=seeds.rejected,
            kept=self._harvest.kept,
            simulated=len(self._harvest.done),
            repaired=self._harvest.repaired,
            rejected=self._harvest.rejected,
            budget_spent=budget_spent,
            spending=self.spending(),
        )

    @asynccontextmanager
    async def _authors(self) -> AsyncIterator[Write]:
        """Who writes: this process, or workers."""
        config, environment, client = self._config, self._environment, self._client
        if not is_staffed(config):
            yield Author(config, environment, client).write
            return
        given = given_to_authors(config, environment, client)
        governors = {"simulator": client.governor}
        async with open_workers(config, JOB, given, governors, self._report) as workers:
            self.sources |= workers.sources()
            yield AuthorsAbroad(workers, client).write

    async def _simulate(self, seeds: list[Seed], write: Write) -> bool:
        """Simulate what is planned and not done yet; whether the budget ended that."""
        planned = islice(plans(seeds, self._environment, self._config), self._limit)
        todo = (plan for plan in planned if plan.index not in self._harvest.done)
        # Going through the plans of a long run that goes on takes a while.
        first = await anyio.to_thread.run_sync(next, todo, None)
        ahead = chain([first] if first else [], todo)
        samples = (partial(self._sample, plan, write) for plan in ahead)
        while True:
            begun = await run_within(self._client.spending, samples, self._has_room)
            settled = self._harvest.settle_rest()
            await self._announce(settled)
            if not (begun or settled):
                break
        return self._is_short and not self._client.spending.allows_another()

    @property
    def _is_short(self) -> bool:
        """Whether more could be tried, and are wanted."""
        harvest = self._harvest
        return harvest.kept < self._config.n and len(harvest.done) < self._limit

    def spending(self) -> SpendingStatistics:
        """What was spent, projected to the end of the run."""
        harvest = self._harvest
        tries = harvest.tries_for(self._config.n - harvest.kept)
        return self._client.spending.statistics(min(tries, self._limit - len(harvest.done)))

    async def _recall(self) -> bool:
        """Take up what earlier sessions left, and write down what they may have paid in vain;
        whether they had begun to simulate.
        """
        left = await anyio.to_thread.run_sync(self._harvest.recall, self._store.path)
        killed = [each for each in left if each.status == TrajectoryStatus.RUNNING]
        lost = [lost_call(self._client.endpoint, "author", each.id) for each in killed]
        # In one transaction, so that no call is taken for lost twice, whenever this is killed.
        await self._store.append(*map(cut_off, killed), *lost)
        reviews = await write_down_lost_reviews(self._client.endpoint, self._store)
        earlier = await anyio.to_thread.run_sync(earlier_spending, self._store.path)
        self._client.spending.charge_earlier(earlier)
        if calls := len(left) + reviews:
            self._report(cut_off_sentence(calls, earlier))
        return bool(left or self._harvest.done)

    def _has_room(self, active: int) -> bool:
        harvest = self._harvest
        return (
            harvest.kept + harvest.waiting + active < self._config.n
            and active < self._config.simulator.max_in_flight
            and harvest.waiting < _WAITING_PER_CALL * self._config.simulator.max_in_flight
        )

    def _tell_reviewed(self, reviewed: int) -> None:
        self._reviewed = reviewed
        self._tell()

    def _tell(self) -> None:
        harvest = self._harvest
        self._on_progress(
            GenerateProgress(
                reviewing=self._reviewing,
                reviewed=self._reviewed,
                seeds=len(self._material.seeds),
                kept=harvest.kept,
                rejected=harvest.rejected.total(),
                wanted=self._config.n,
                spending=self.spending(),
            )
        )

    async def _announce(self, settled: list[Settled]) -> None:
        """Write down what became of those that waited, and tell of those that are kept."""
        if self._on_kept is None:
            await self._write(settled)
            return
        # One after the other, so that they are told in the order of their numbers.
        async with self._telling:
            await self._write(settled)
            for each in settled:
                if each.trajectory.status == TrajectoryStatus.KEPT:
                    seed = str(each.trajectory.detail["seed"])
                    await self._on_kept(KeptTrajectory(each.trajectory.id, seed, each.messages))

    async def _write(self, settled: list[Settled]) -> None:
        await self._store.append(*(each.trajectory for each in settled if not each.stored))

    async def _sample(self, plan: Plan, write: Write) -> None:
        """One trajectory, from its first record to its last."""
        begun = TrajectoryRecord(
            plan.index,
            self._environment.name,
            f"{plan.seed.id}/{plan.index}",
            TrajectoryStatus.RUNNING,
            detail={"seed": plan.seed.id, "wishes": msgspec.to_builtins(plan.wishes)},
            created_at=time.time(),
        )
        ledger: list[CallRecord] = []
        outage: EndpointError | None = None
        try:
            # Before the call, so that a killed run knows what it may have paid for.
            await self._store.append(begun)
            finished = await write(plan, ledger)
            self._outage.answered()
        except EndpointError as error:
            finished = Finished(Verdict([], rejected_by="simulator", reason=str(error)))
            outage = error if self._outage.is_outage(error) else None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._store.append(cut_off(begun), *ledger)
            raise
        ended, turns = self._harvest.end(begun, finished)
        await self._store.append(ended, *turns, *ledger)
        if outage is not None:
            raise outage
        await self._announce(self._harvest.arrive(ended, finished))
        self._tell()
