"""The pre-filter: which seeds a run uses, decided once and kept in its record."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NoReturn

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, Reader, SeedRecord, SeedStatus, Store

from simia_async.clients import ChatClient
from simia_async.config import Endpoint, SeedsConfig
from simia_async.environments import Seed
from simia_async.errors import BadReply, BudgetSpent, EndpointError, UsageError
from simia_async.messages import Message
from simia_async.runs.lost import lost_call
from simia_async.runs.material import Material
from simia_async.runs.outage import OutageWatch
from simia_async.runs.spending import run_within
from simia_async.runs.world import record_world
from simia_async.simulation import Review, Simulator
from simia_async.synthesis.prefilter import prefilter
from simia_async.synthesis.rules import RuleSettings

UNREVIEWED = "unreviewed"
"""Cause of a seed that the reviewer failed at; it is asked again when the run goes on."""
_DEFAULT_RULES = RuleSettings()
_RECONSTRUCTED = "reconstructed"
_TOLD = "told"
"""What the file tells of a seed that was reconstructed."""

OnReviewed = Callable[[int], None]
"""Hears how many seeds are decided on."""


class ChosenSeeds(msgspec.Struct, frozen=True):
    """Seeds by what became of them."""

    used: list[Seed]
    """In the order of their file."""
    rejected: Counter[str]
    """How many were not used, by cause."""


async def choose_seeds(
    config: SeedsConfig,
    material: Material,
    client: ChatClient,
    store: Store,
    on_reviewed: OnReviewed = lambda _: None,
    *,
    settings: RuleSettings = _DEFAULT_RULES,
    may_review: bool = True,
) -> ChosenSeeds:
    """The seeds to work from; the verdicts of all are in the store.

    `settings` are those of the rules that seeds must pass. Without `may_review` the ones that were
    used before are used again, and no others. Raises `UsageError` if none is left or the seeds are
    not those that the run began with, and `EndpointError` if the reviewer is down for good.
    """
    known = await anyio.to_thread.run_sync(_recall, store, material)
    review = _Review(config, material, client, store, known, settings, on_reviewed)
    await review.decide_without_asking()
    if may_review:
        await review.run()
    used = [
        _as_used(seed, record)
        for seed in material.seeds
        if (record := known[seed.id]).status == SeedStatus.USED
    ]
    if not used:
        _complain(known[seed.id] for seed in material.seeds)
    unused = (record for record in known.values() if record.status != SeedStatus.USED)
    return ChosenSeeds(used, Counter(record.cause or record.status for record in unused))


def _complain(unused: Iterable[SeedRecord]) -> NoReturn:
    seeds = list(unused)
    if any(seed.status == SeedStatus.WAITING for seed in seeds):
        raise BudgetSpent("the budget was spent before a seed had passed the pre-filter")
    if all(seed.cause == UNREVIEWED for seed in seeds):
        raise BadReply(f"the pre-filter failed at every seed; the last: {seeds[-1].reason}")
    causes = ", ".join(f"{n} {cause}" for cause, n in Counter(s.cause for s in seeds).items())
    raise UsageError(
        f"none of {len(seeds)} seeds can be used: {causes}. {seeds[0].id}: {seeds[0].reason}"
    )


async def write_down_lost_reviews(endpoint: Endpoint, store: Store) -> int:
    """Write down the reviews that a killed session may have paid in vain; how many those are.

    In one transaction, so that no call is taken for lost twice, whenever this is killed.
    """
    cut = await anyio.to_thread.run_sync(_cut_off, store)
    waiting = [msgspec.structs.replace(record, status=SeedStatus.WAITING) for record in cut]
    await store.append(*waiting, *(lost_call(endpoint, "reviewer", None) for _ in cut))
    return len(cut)


def _cut_off(store: Store) -> list[SeedRecord]:
    with Reader(store.path) as reader:
        return [seed for seed in reader.seeds() if seed.status == SeedStatus.REVIEWING]


def _recall(store: Store, material: Material) -> dict[str, SeedRecord]:
    """What earlier sessions have found. Raises `UsageError` if that was of other seeds."""
    with Reader(store.path) as reader:
        known = {record.id: record for record in reader.seeds()}
    wire = {seed.id: _wire(seed) for seed in [*material.seeds, *material.failed]}
    for record in known.values():
        told = record.detail.get(_TOLD, record.messages)
        if wire.get(record.id) != told:
            raise UsageError(
                f"{store.path}: seed {record.id} is not what it was when the run began; name "
                "another database with --run, or bring the old seeds back"
            )
    return known


class _Review:
    """The seeds of a run, from the first that is looked at to the last."""

    def __init__(
        self,
        config: SeedsConfig,
        material: Material,
        client: ChatClient,
        store: Store,
        known: dict[str, SeedRecord],
        settings: RuleSettings,
        on_reviewed: OnReviewed,
    ) -> None:
        self._config = config
        self._material = material
        self._client = client
        self._store = store
        self._known = known
        self._settings = settings
        self._on_reviewed = on_reviewed
        self._open = 0
        self._simulator = Simulator(client, material.environment)
        self._outage = OutageWatch()

    async def run(self) -> None:
        """Review every seed that is not decided on yet, as far as the budget goes."""
        todo = [seed for seed in self._material.seeds if self._is_open(seed)]
        if not todo:
            return
        self._open = len(todo)
        await record_world(self._store, self._material.environment, "reviewer")
        works = (partial(self._decide, seed) for seed in todo)
        limit = self._config.simulator.max_in_flight
        await run_within(
            self._client.spending, works, lambda active: active < limit, preparatory=True
        )

    def _is_open(self, seed: Seed) -> bool:
        record = self._known[seed.id]
        return record.status == SeedStatus.WAITING or record.cause == UNREVIEWED

    async def decide_without_asking(self) -> None:
        """Leave out what failed; without a pre-filter use the rest, if it is all there."""
        without_review = _waiting if self._config.prefilter else _unreviewed
        await self._keep(
            *(
                _record(seed, SeedStatus.LEFT_OUT, "reward", "its reward is 0")
                for seed in self._material.failed
                if seed.id not in self._known
            ),
            *(without_review(seed) for seed in self._material.seeds if seed.id not in self._known),
        )

    async def _decide(self, seed: Seed) -> None:
        ledger: list[CallRecord] = []
        outage: EndpointError | None = None
        try:
            # Before the call, so that a killed run knows what it may have paid for.
            await self._keep(_record(seed, SeedStatus.REVIEWING, None, None))
            review = await self._simulator.review(seed, ledger)
            self._outage.answered()
            decided = await anyio.to_thread.run_sync(self._judge, seed, review)
        except EndpointError as error:
            decided = _record(seed, SeedStatus.REJECTED, UNREVIEWED, str(error))
            outage = error if self._outage.is_outage(error) else None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._store.append(_waiting(seed), *ledger)
            raise
        self._known[seed.id] = decided
        await self._store.append(decided, *ledger)
        if outage is not None:
            raise outage
        self._open -= 1
        self._on_reviewed(len(self._material.seeds) - self._open)

    def _judge(self, seed: Seed, review: Review) -> SeedRecord:
        verdict = prefilter(seed, review, self._material.environment, self._settings)
        status = SeedStatus.USED if verdict.cause is None else SeedStatus.REJECTED
        if verdict.reconstructed is not None:
            verdict.detail[_RECONSTRUCTED] = True
            verdict.detail[_TOLD] = _wire(seed)
            seed = msgspec.structs.replace(seed, messages=verdict.reconstructed)
        return _record(seed, status, verdict.cause, verdict.reason, verdict.detail)

    async def _keep(self, *records: SeedRecord) -> None:
        self._known |= {record.id: record for record in records}
        await self._store.append(*records)


def _unreviewed(seed: Seed) -> SeedRecord:
    if seed.incomplete is not None:
        return _record(seed, SeedStatus.REJECTED, "incomplete", seed.incomplete)
    return _record(seed, SeedStatus.USED, None, None)


def _waiting(seed: Seed) -> SeedRecord:
    return _record(seed, SeedStatus.WAITING, None, None)


def _record(
    seed: Seed,
    status: SeedStatus,
    cause: str | None,
    reason: str | None,
    detail: dict[str, Any] | None = None,
) -> SeedRecord:
    return SeedRecord(seed.id, status, cause, reason, seed.reward, _wire(seed), detail or {})


def _wire(seed: Seed) -> list[dict[str, Any]]:
    return [message.as_wire() for message in seed.messages]


def _as_used(seed: Seed, record: SeedRecord) -> Seed:
    if not record.detail.get(_RECONSTRUCTED):
        return seed
    messages = [msgspec.convert(message, Message) for message in record.messages]
    return msgspec.structs.replace(seed, messages=messages, incomplete=None)
