"""Simia-RL, end to end: rollouts in the simulated world, judged; GRPO; the next rollouts."""

import random
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import AdapterRecord, Reader

from simia_async.config import GrpoConfig
from simia_async.environments import Task
from simia_async.errors import BudgetSpent, ChildFailed, UsageError
from simia_async.models import check_adapter
from simia_async.runs.audit import audit_role, audit_rubric, open_audit
from simia_async.runs.held_out import read_held_out
from simia_async.runs.luck_gate import LuckGate, measure_luck, spent_on_luck, stored_gate
from simia_async.runs.plot import Plot, read_plot
from simia_async.runs.rl_loop import OnStep, RlLoop, RlProgress, RlStep
from simia_async.runs.rollout_recall import Recalled, recall
from simia_async.runs.rollout_settings import check_consistent
from simia_async.runs.sft import TRAINER, check_unpublished
from simia_async.runs.stage import open_stage
from simia_async.supervision.launched import start_child
from simia_async.supervision.launchers import read_launcher
from simia_async.supervision.service import Report

_SHUFFLED = 84
"""Tasks come template by template, and a step should see a mixture. They are shuffled in stretches
of this length, so that a run of more steps begins with the same ones.
"""


class RlResult(msgspec.Struct, frozen=True):
    """What RL came to."""

    run: Path
    adapter: Path
    """The last one."""
    best_adapter: Path
    """The best one on held-out tasks; the last one where none were evaluated."""
    steps: list[RlStep]
    """Those of this session."""
    budget_spent: bool
    """Whether the run ended because one more group of rollouts would not fit the budget."""
    collapsed: str | None
    """What ended the run if the policy collapsed."""


class _RlRun(GrpoConfig, frozen=True, kw_only=True):
    """What the record keeps of an RL run's settings."""

    adapters: str = ""
    luck: LuckGate | None = None


class _Earlier(msgspec.Struct, frozen=True):
    """What an earlier session of the run has come to."""

    adapters: list[AdapterRecord]
    """Those that were published, the one it began with first."""
    recalled: Recalled

    @property
    def has_begun(self) -> bool:
        """Whether anything was played or published."""
        return bool(self.adapters or self.recalled.plans or self.recalled.done)

    @property
    def steps(self) -> int:
        """How many were trained."""
        return max((adapter.step for adapter in self.adapters), default=0)


async def _ignore(_: RlStep) -> None:
    """Nobody listens."""


async def run_rl(
    config: GrpoConfig,
    path: Path,
    adapters: Path,
    *,
    report: Report,
    on_progress: Callable[[RlProgress], None] = lambda _: None,
    on_step: OnStep = _ignore,
) -> RlResult:
    """Take `config.steps` GRPO steps and publish an adapter after each. A run that was cut off
    goes on: no group is played or trained on twice.

    Raises `UsageError`, `StoreError`, `EndpointError`, or `ChildFailed` if the trainer dies or
    another child dies too often. What was committed and published stays.
    """
    check_consistent(config, has_adapters=bool(config.adapter))
    if config.policy.model is not None and config.policy.tokenizer is None:
        raise UsageError(
            "--policy-model: also needs --policy-tokenizer: what is trained on are token ids, and "
            "a chat endpoint gives none"
        )
    if config.deterministic:
        config = msgspec.structs.replace(config, concurrency=1, max_staleness=0)
    launcher = read_launcher(config.launch)
    gate = await anyio.to_thread.run_sync(stored_gate, path)
    plot = await anyio.to_thread.run_sync(_read_plot, config, gate)
    held_out: list[Task] = []
    if config.eval_every:
        held_out = (await anyio.to_thread.run_sync(read_held_out, config, config.eval_tasks)).tasks
    hidden = await anyio.to_thread.run_sync(audit_rubric, config, plot)
    begun_with = check_adapter(Path(config.adapter)) if config.adapter else None
    earlier = await anyio.to_thread.run_sync(_recall, config, path, plot)
    if not earlier.has_begun:
        check_unpublished(adapters)
    if config.max_env_luck is not None and not earlier.has_begun and gate is None:
        gate = await measure_luck(config, config.max_env_luck, path, plot.tasks, report)
        plot = await anyio.to_thread.run_sync(_read_plot, config, gate)
    held = _held_versions(earlier, begun_with)
    settings = _RlRun(**msgspec.structs.asdict(config), adapters=str(adapters), luck=gate)
    units = config.steps * config.groups
    async with (
        open_stage(
            "rl",
            settings,
            path,
            plot.environment,
            plot.rubric,
            adapters=held,
            units=units,
            report=report,
            may_continue=True,
            more_roles=audit_role(config, hidden),
        ) as stage,
        start_child("trainer", TRAINER, ["--out", str(adapters)], launcher) as trainer,
    ):
        if gate is not None:
            stage.spending.charge_earlier(await anyio.to_thread.run_sync(spent_on_luck, path))
            if not earlier.has_begun:
                await stage.store.append(*gate.metrics())
        # First, so that its scoring gets its number before anybody can ask for another.
        audit = await open_audit(config, plot, hidden, stage, report) if hidden else None
        await stage.take_up(plot, earlier.recalled, config.group_size, report)
        if begun_with and not earlier.adapters:
            await stage.store.append(AdapterRecord(1, str(begun_with), None, 0))
        loop = RlLoop(config, plot, held_out, stage, trainer, audit, report, on_progress, on_step)
        try:
            await loop.run(earlier.recalled, earlier.adapters, max(held, default=0))
        except ChildFailed as error:
            raise ChildFailed(f"{error}; go on with: simia train rl --resume {path}") from error
        if not loop.published:
            raise BudgetSpent("the budget is spent before the first group of rollouts could begin")
        return RlResult(
            path,
            Path(loop.published[-1].path),
            loop.best,
            loop.steps,
            budget_spent=loop.taken < config.steps and loop.collapsed is None,
            collapsed=loop.collapsed,
        )


def stored_adapters(path: Path) -> Path:
    """Directory of adapters of the RL run at `path`. Raises `StoreError`, or `UsageError` if there
    is none.
    """
    with Reader(path) as reader:
        run = reader.run()
    if run is None or run.kind != "rl" or not run.config.get("adapters"):
        raise UsageError(f"{path}: cannot be resumed: no RL run was begun there")
    return Path(run.config["adapters"])


def _read_plot(config: GrpoConfig, gate: LuckGate | None) -> Plot:
    """What is played, without the tasks that a gate leaves out; others come in their place."""
    left_out = gate.left_out if gate else {}
    wanted = config.steps * config.groups
    stretches = -(-wanted // _SHUFFLED)
    while True:
        plot = read_plot(config, stretches * _SHUFFLED, "train")
        mixed = _mixed(plot.tasks, config.seed)
        tasks = [task for task in mixed if task.id not in left_out]
        if len(tasks) >= wanted:
            return msgspec.structs.replace(plot, tasks=tasks[:wanted])
        stretches += 1


def _mixed(tasks: list[Task], seed: int) -> list[Task]:
    mixed: list[Task] = []
    for first in range(0, len(tasks), _SHUFFLED):
        stretch = tasks[first : first + _SHUFFLED]
        random.Random(f"{seed}/{first}").shuffle(stretch)
        mixed += stretch
    return mixed


def _recall(config: GrpoConfig, path: Path, plot: Plot) -> _Earlier:
    """Raises `UsageError` if the tasks are not those that the run began with."""
    if not path.exists():
        return _Earlier([], Recalled({}, {}, [], [], set()))
    recalled = recall(path, plot.tasks, config.group_size)
    with Reader(path) as reader:
        return _Earlier(reader.adapters(), recalled)


def _held_versions(earlier: _Earlier, begun_with: Path | None) -> dict[int, Path]:
    """The adapters that are needed: the newest, and those that unfinished groups are pinned to."""
    known = {adapter.version: Path(adapter.path) for adapter in earlier.adapters}
    if not known:
        return {1: begun_with} if begun_with else {}
    pinned = {
        plan.record.policy_version
        for plan in earlier.recalled.plans.values()
        if plan.record and plan.step > earlier.steps
    }
    wanted = {version for version in (*pinned, max(known)) if version}
    return {version: check_adapter(known[version]) for version in sorted(wanted)}
