"""Simia-SFT's data half, end to end: seeds in, kept trajectories in the store."""

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, Store, TrajectoryRecord, TrajectoryStatus

from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import GenerateConfig
from simia_async.environments import Seed
from simia_async.errors import BadReply, EndpointError, EndpointRefused
from simia_async.runs.harvest import Harvest, cut_off, lost_call
from simia_async.runs.material import Material, read_material
from simia_async.runs.pulse import pulse
from simia_async.runs.record import record_run
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending, run_within
from simia_async.simulation import Simulator
from simia_async.supervision.service import Report
from simia_async.synthesis.rules import Verdict, apply_rules

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
    spending: SpendingStatistics
    """Of all sessions of the run."""


class GenerateProgress(msgspec.Struct, frozen=True):
    """How far a run is."""

    kept: int
    rejected: int
    wanted: int
    spending: SpendingStatistics
    """Projected to the end of the run."""


OnProgress = Callable[[GenerateProgress], None]


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
        await store.append(material.environment.as_record())
        harvest = Harvest(material.seeds)
        await _recall(harvest, client, store, report)
        generation = _Generation(config, material, client, store, harvest, on_progress)
        sources = {
            "simulator": client.governor.statistics,
            "spending": generation.spending,
            "writer": store.statistics,
        }
        async with pulse(store, sources):
            budget_spent = await generation.run()
        return GenerateResult(
            path,
            material.seeds_read,
            len(material.seeds),
            harvest.kept,
            len(harvest.done),
            harvest.rejected,
            budget_spent,
            generation.spending(),
        )


async def _recall(harvest: Harvest, client: ChatClient, store: Store, report: Report) -> None:
    """Take up what earlier sessions left, and write down what they may have paid in vain."""
    left = await anyio.to_thread.run_sync(harvest.recall, store.path)
    killed = [trajectory for trajectory in left if trajectory.status == TrajectoryStatus.RUNNING]
    endpoint = client.endpoint
    # In one transaction, so that no call is taken for lost twice, whenever this is killed.
    await store.append(
        *(cut_off(trajectory) for trajectory in killed),
        *(lost_call(each, endpoint.base_url or "", endpoint.model or "") for each in killed),
    )
    earlier = await anyio.to_thread.run_sync(earlier_spending, store.path)
    client.spending.charge_earlier(earlier)
    if left:
        report(cut_off_sentence(len(left), earlier))


class _Generation:
    """A run's trajectories, from the first that is begun to the last."""

    def __init__(
        self,
        config: GenerateConfig,
        material: Material,
        client: ChatClient,
        store: Store,
        harvest: Harvest,
        on_progress: OnProgress,
    ) -> None:
        self._config = config
        self._material = material
        self._spending = client.spending
        self._simulator = Simulator(client, material.environment)
        self._store = store
        self._harvest = harvest
        self._on_progress = on_progress
        self._limit = math.ceil(config.n * ATTEMPTS_PER_KEPT)
        self._failures_in_a_row = 0

    async def run(self) -> bool:
        """Simulate until enough are kept, the attempts are used up, or the budget is spent: the
        answer is whether it was that.
        """
        self._tell()
        todo = [index for index in range(1, self._limit + 1) if index not in self._harvest.done]
        samples = (partial(self._sample, index) for index in todo)
        begun = await run_within(self._spending, samples, self._has_room)
        return self._harvest.kept < self._config.n and begun < len(todo)

    def spending(self) -> SpendingStatistics:
        """What was spent, projected to the end of the run."""
        harvest = self._harvest
        tries = harvest.tries_for(self._config.n - harvest.kept)
        return self._spending.statistics(min(tries, self._limit - len(harvest.done)))

    def _has_room(self, active: int) -> bool:
        return (
            self._harvest.kept + active < self._config.n
            and active < self._config.simulator.max_in_flight
        )

    def _tell(self) -> None:
        harvest = self._harvest
        self._on_progress(
            GenerateProgress(
                harvest.kept, harvest.rejected.total(), self._config.n, self.spending()
            )
        )

    async def _sample(self, index: int) -> None:
        """One trajectory, from its first record to its last."""
        seed = self._material.seeds[(index - 1) % len(self._material.seeds)]
        begun = TrajectoryRecord(
            index,
            self._material.environment.name,
            f"{seed.id}/{index}",
            TrajectoryStatus.RUNNING,
            created_at=time.time(),
        )
        ledger: list[CallRecord] = []
        outage: EndpointError | None = None
        try:
            # Before the call, so that a killed run knows what it may have paid for.
            await self._store.append(begun)
            verdict = await self._ask(seed, index, ledger)
        except EndpointError as error:
            verdict = Verdict([], rejected_by="simulator", reason=str(error))
            outage = error if self._is_outage(error) else None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._store.append(cut_off(begun), *ledger)
            raise
        trajectory, turns = self._harvest.settle(begun, verdict)
        await self._store.append(trajectory, *turns, *ledger)
        if outage is not None:
            raise outage
        self._harvest.count(trajectory)
        self._tell()

    async def _ask(self, seed: Seed, index: int, ledger: list[CallRecord]) -> Verdict:
        """What the author makes of a seed, and what the rules say to it."""
        draft = await self._simulator.author(
            seed, self._config.seed + index, ledger, trajectory_id=index
        )
        self._failures_in_a_row = 0
        return await anyio.to_thread.run_sync(
            apply_rules, draft.messages, self._material.environment
        )

    def _is_outage(self, error: EndpointError) -> bool:
        """Whether the endpoint fails as a whole, so that going on would only use attempts up."""
        if isinstance(error, BadReply):
            return False
        self._failures_in_a_row += 1
        if isinstance(error, EndpointRefused):
            return not self._harvest.kept or error.status in _REFUSED_FOR_GOOD
        return self._failures_in_a_row >= _OUTAGE
