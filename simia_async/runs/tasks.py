"""Tasks for an environment, made from its seeds and from what a generate run kept of them."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, Reader, Store, TaskRecord, TaskStatus

from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import TasksConfig
from simia_async.environments import Environment, Split, Task
from simia_async.environments.tasks_file import tasks_to_keep, write_tasks
from simia_async.errors import EndpointError, UsageError
from simia_async.runs.lost import lost_call
from simia_async.runs.material import read_material
from simia_async.runs.outage import OutageWatch
from simia_async.runs.pulse import Sources, pulse
from simia_async.runs.record import record_run
from simia_async.runs.seed_review import choose_seeds, write_down_lost_reviews
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending, run_within
from simia_async.runs.task_sources import check_ids, kept_by
from simia_async.runs.world import record_world
from simia_async.simulation import Simulator, TaskDraft
from simia_async.supervision.service import Report
from simia_async.synthesis.task_making import Source, as_task, check_draft, heldout_seeds


class TasksResult(msgspec.Struct, frozen=True):
    """What came of it. The tasks stand in the file `out`, and in the database at `run`."""

    run: Path
    out: Path | None
    """None if no task was made: then no file is written."""
    seeds_read: int
    seeds_used: int
    seeds_rejected: Counter[str]
    trajectories: int
    """Kept trajectories that were used besides the seeds."""
    train: int
    heldout: int
    failed: int
    """Conversations that no task could be made of."""
    budget_spent: bool
    spending: SpendingStatistics


OnProgress = Callable[[int, int], None]
"""Hears how many tasks are made, of how many."""


async def run_tasks(
    config: TasksConfig,
    path: Path,
    out: Path,
    *,
    report: Report,
    on_progress: OnProgress = lambda *_: None,
) -> TasksResult:
    """Make a task of every seed that passes the pre-filter, and of what `config.source` kept.

    A run that was cut off goes on. The file appears whole, or not at all, and a task that stands
    in it already stays as it is there. Raises `UsageError`,
    `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    material = await anyio.to_thread.run_sync(read_material, config)
    environment = material.environment
    kept: list[Source] = []
    if config.source is not None:
        kept = await anyio.to_thread.run_sync(kept_by, Path(config.source), environment)
    check_ids([*material.seeds, *(source.conversation for source in kept)])
    await anyio.to_thread.run_sync(_check_place, out, path, environment)
    async with (
        connect_simulator(config.simulator, config.budget, report) as client,
        record_run(path, "tasks", config, may_continue=True) as store,
    ):
        await record_world(store, environment, "task_author")
        making = _Making(environment, client, store, out, on_progress)
        await making.recall(report)
        sources: Sources = {
            "simulator": client.governor.statistics,
            "spending": client.spending.statistics,
            "writer": store.statistics,
        }
        async with pulse(store, sources):
            chosen = await choose_seeds(config, material, client, store)
            conversations = [Source(seed, seed.id) for seed in chosen.used] + kept
            budget_spent = await making.run(conversations, config)
        tasks = await anyio.to_thread.run_sync(making.write, conversations)
        splits = Counter(task.split for task in tasks)
        return TasksResult(
            run=path,
            out=out if tasks else None,
            seeds_read=material.seeds_read,
            seeds_used=len(chosen.used),
            seeds_rejected=chosen.rejected,
            trajectories=len(kept),
            train=splits["train"],
            heldout=splits["heldout"],
            failed=making.failed,
            budget_spent=budget_spent,
            spending=client.spending.statistics(),
        )


class _Making:
    """The tasks of a run, made one by one and kept as they are made."""

    def __init__(
        self,
        environment: Environment,
        client: ChatClient,
        store: Store,
        out: Path,
        on_progress: OnProgress,
    ) -> None:
        self.failed = 0
        self._environment = environment
        self._client = client
        self._store = store
        self._out = out
        self._on_progress = on_progress
        self._simulator = Simulator(client, environment)
        self._outage = OutageWatch()
        self._made: dict[str, Task] = {}
        self._wanted = 0

    async def recall(self, report: Report) -> None:
        """Take up the tasks of earlier sessions, and write down what they may have paid in vain."""
        asked = await anyio.to_thread.run_sync(self._read)
        endpoint = self._client.endpoint
        # In one transaction, so that no call is taken for lost twice, whenever this is killed.
        await self._store.append(
            *(_failed(task, "the run was cut off before its answer was there") for task in asked),
            *(lost_call(endpoint, "task_author", None) for _ in asked),
        )
        reviews = await write_down_lost_reviews(endpoint, self._store)
        earlier = await anyio.to_thread.run_sync(earlier_spending, self._store.path)
        self._client.spending.charge_earlier(earlier)
        if calls := len(asked) + reviews:
            report(cut_off_sentence(calls, earlier))

    def _read(self) -> list[TaskRecord]:
        """Take up the tasks that are ready; those whose author was asked when it was killed."""
        made = _made_at(self._store.path)
        standing = tasks_to_keep(self._out, self._environment, made)
        self._made = made | {task.id: task for task in standing}
        with Reader(self._store.path) as reader:
            return [record for record in reader.tasks() if record.status == TaskStatus.ASKED]

    async def run(self, sources: list[Source], config: TasksConfig) -> bool:
        """Make what is not made yet; whether the budget ended that."""
        todo = [each for each in sources if each.conversation.id not in self._made]
        self._wanted = len(self._made) + len(todo)
        self._tell()
        settled = {task.seed: task.split for task in self._made.values()}
        heldout = heldout_seeds((each.seed for each in sources), config.heldout, settled)
        works = (
            partial(self._make, source, "heldout" if source.seed in heldout else "train")
            for source in todo
        )
        limit = config.simulator.max_in_flight
        begun = await run_within(self._client.spending, works, lambda active: active < limit)
        return begun < len(todo)

    def _tell(self) -> None:
        self._on_progress(len(self._made), self._wanted)

    def write(self, sources: list[Source]) -> list[Task]:
        """Write the file: the tasks that stand there, then the others as their conversations come.

        It is read once more, for it may have been edited while the run was on.
        """
        standing = tasks_to_keep(self._out, self._environment, self._made)
        there = {task.id for task in standing}
        ids = [source.conversation.id for source in sources]
        new = [self._made[each] for each in ids if each in self._made and each not in there]
        if new:
            write_tasks(self._out, [*standing, *new])
        return [*standing, *new]

    async def _make(self, source: Source, split: Split) -> None:
        """One task, from its first record to its last."""
        ledger: list[CallRecord] = []
        name = self._environment.name
        asked = TaskRecord(source.conversation.id, name, split, {}, TaskStatus.ASKED)
        try:
            # Before the call, so that a killed run knows what it may have paid for.
            await self._store.append(asked)
            draft = await self._simulator.draft_task(source.conversation, ledger, self._check)
        except EndpointError as error:
            self.failed += 1
            await self._store.append(_failed(asked, str(error)), *ledger)
            if self._outage.is_outage(error):
                raise
            return
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._store.append(_failed(asked, "the run was stopped"), *ledger)
            raise
        self._outage.answered()
        task = as_task(draft, source, self._environment, split)
        await self._store.append(task.as_record(), *ledger)
        self._made[task.id] = task
        self._tell()

    def _check(self, draft: TaskDraft) -> None:
        check_draft(draft, self._environment)


def _failed(task: TaskRecord, why: str) -> TaskRecord:
    return msgspec.structs.replace(task, status=TaskStatus.FAILED, reason=why)


def _made_at(path: Path) -> dict[str, Task]:
    """The tasks that are ready in a run; none if it is still to begin."""
    if not path.exists():
        return {}
    with Reader(path) as reader:
        ready = [record for record in reader.tasks() if record.status == TaskStatus.READY]
    return {record.id: msgspec.convert(record.task, Task) for record in ready}


def _check_place(out: Path, path: Path, environment: Environment) -> None:
    """Raise `UsageError` if the tasks of the run at `path` must not be written to `out`."""
    if out.is_dir():
        raise UsageError(f"{out}: is a directory; name a file, such as {out / 'tasks.jsonl'}")
    if out.suffix != ".jsonl":
        raise UsageError(f"{out}: tasks are written as JSON lines; name a file that ends in .jsonl")
    if out.exists():
        tasks_to_keep(out, environment, _made_at(path))
