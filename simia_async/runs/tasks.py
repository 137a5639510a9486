"""Tasks for an environment, made from its seeds and from what a generate run kept of them."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import CallRecord, Reader, Store, TaskRecord, TaskStatus, TrajectoryStatus

from simia_async.clients import ChatClient, SpendingStatistics
from simia_async.config import TasksConfig
from simia_async.environments import Environment, Seed, Split, Task
from simia_async.environments.tasks_file import write_tasks
from simia_async.errors import EndpointError, UsageError
from simia_async.messages import Message
from simia_async.runs.lost import lost_call
from simia_async.runs.material import read_material
from simia_async.runs.outage import OutageWatch
from simia_async.runs.pulse import Sources, pulse
from simia_async.runs.record import record_run
from simia_async.runs.seed_review import choose_seeds, write_down_lost_reviews
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import cut_off_sentence, earlier_spending, run_within
from simia_async.simulation import Simulator, TaskDraft
from simia_async.simulation.prompts import prompt_record
from simia_async.supervision.service import Report
from simia_async.synthesis.task_making import Source, as_task, check_draft, heldout_seeds


class TasksResult(msgspec.Struct, frozen=True):
    """What came of it. The tasks stand in the file `out`, and in the database at `run`."""

    run: Path
    out: Path
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

    A run that was cut off goes on. The file appears whole, or not at all. Raises `UsageError`,
    `StoreError`, `EndpointError` or `ChildFailed`; what was committed stays.
    """
    material = await anyio.to_thread.run_sync(read_material, config)
    environment = material.environment
    kept = await anyio.to_thread.run_sync(_kept_by, config, environment)
    _check_place(out)
    async with (
        connect_simulator(config.simulator, config.budget, report) as client,
        record_run(path, "tasks", config, may_continue=True) as store,
    ):
        await store.append(
            environment.as_record(), prompt_record("task_author", environment.prompts)
        )
        making = _Making(environment, client, store, on_progress)
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
        tasks = making.tasks(conversations)
        if tasks:
            await anyio.to_thread.run_sync(write_tasks, out, tasks)
        splits = Counter(task.split for task in tasks)
        return TasksResult(
            run=path,
            out=out,
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
        self, environment: Environment, client: ChatClient, store: Store, on_progress: OnProgress
    ) -> None:
        self.failed = 0
        self._environment = environment
        self._client = client
        self._store = store
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
        with Reader(self._store.path) as reader:
            records = list(reader.tasks())
        ready = [record for record in records if record.status == TaskStatus.READY]
        self._made = {record.id: msgspec.convert(record.task, Task) for record in ready}
        return [record for record in records if record.status == TaskStatus.ASKED]

    async def run(self, sources: list[Source], config: TasksConfig) -> bool:
        """Make what is not made yet; whether the budget ended that."""
        self._wanted = len(sources)
        self._tell()
        heldout = heldout_seeds(sources, config.heldout)
        todo = [each for each in sources if each.conversation.id not in self._made]
        works = (
            partial(self._make, source, "heldout" if source.seed in heldout else "train")
            for source in todo
        )
        limit = config.simulator.max_in_flight
        begun = await run_within(self._client.spending, works, lambda active: active < limit)
        return begun < len(todo)

    def _tell(self) -> None:
        self._on_progress(len(self._made), self._wanted)

    def tasks(self, sources: list[Source]) -> list[Task]:
        """Those that are made, in the order of their conversations."""
        ids = [source.conversation.id for source in sources]
        return [self._made[each] for each in ids if each in self._made]

    async def _make(self, source: Source, split: Split) -> None:
        """One task, from its first record to its last."""
        ledger: list[CallRecord] = []
        name = self._environment.name
        asked = TaskRecord(source.conversation.id, name, split, {}, TaskStatus.ASKED)
        # Before the call, so that a killed run knows what it may have paid for.
        await self._store.append(asked)
        try:
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


def _kept_by(config: TasksConfig, environment: Environment) -> list[Source]:
    """Kept trajectories of another run as conversations to make tasks of."""
    if config.source is None:
        return []
    path = Path(config.source)
    sources = []
    with Reader(path) as reader:
        if reader.environment().name != environment.name:
            raise UsageError(
                f"--from {path}: is a run of environment {reader.environment().name!r}, not of "
                f"{environment.name!r}"
            )
        for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT):
            messages = [msgspec.convert(t.message, Message) for t in reader.turns(trajectory.id)]
            number = f"{path.stem}:{trajectory.id}"
            seed = str(trajectory.detail.get("seed", number))
            sources.append(Source(Seed(number, messages), seed))
    return sources


def _check_place(out: Path) -> None:
    if out.is_dir():
        raise UsageError(f"{out}: is a directory; name a file, such as {out / 'tasks.jsonl'}")
    if out.suffix != ".jsonl":
        raise UsageError(f"{out}: tasks are written as JSON lines; name a file that ends in .jsonl")
