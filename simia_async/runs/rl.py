"""Simia-RL, end to end: rollouts in the simulated world, judged; GRPO; the next rollouts.

On-policy and one after the other: every group of a step is pinned to the version that the step
before published.
"""

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
from simia_store import AdapterRecord, MetricRecord, Store

from simia_async.builtin.task_source import tasks_of
from simia_async.config import GrpoConfig
from simia_async.environments import Task, load_environment
from simia_async.errors import BudgetSpent, ChildFailed
from simia_async.judging import Judge, Rubric
from simia_async.models import check_adapter, model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.conversation import Outcome, Setting
from simia_async.rollouts.gate import Gate
from simia_async.rollouts.groups import GroupPlan, check_some_reward, run_group
from simia_async.runs.policies import PolicyEngine
from simia_async.runs.pulse import pulse, rollout_sources
from simia_async.runs.record import record_run
from simia_async.runs.sft import TRAINER, check_unpublished, store_frame
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import run_within
from simia_async.runs.world import record_scoring
from simia_async.simulation import Simulator
from simia_async.supervision.frames import Metrics, Published, TrainGrpo
from simia_async.supervision.process import ChildProcess
from simia_async.supervision.service import Report


class RlStep(msgspec.Struct, frozen=True):
    """One step of RL as it went. `values` holds everything that was measured, by name."""

    step: int
    policy_version: int
    """Version that the step published."""
    reward_mean: float | None
    """Over the rollouts that have a reward; None if none has."""
    values: dict[str, float]


class RlResult(msgspec.Struct, frozen=True):
    """What RL came to."""

    run: Path
    adapter: Path
    steps: list[RlStep]
    budget_spent: bool
    """Whether the run ended because one more group of rollouts would not fit the budget."""


class RlProgress(msgspec.Struct, frozen=True):
    """How far the rollouts of a step are."""

    step: int
    steps: int
    rollouts_done: int
    rollouts: int


async def run_rl(
    config: GrpoConfig,
    path: Path,
    adapters: Path,
    *,
    report: Report,
    on_progress: Callable[[RlProgress], None] = lambda _: None,
    on_step: Callable[[RlStep], None] = lambda _: None,
) -> RlResult:
    """Take `config.steps` GRPO steps and publish an adapter after each.

    Raises `UsageError`, `StoreError`, `EndpointError`, or `ChildFailed` if the trainer dies or
    another child dies too often. What was committed and published stays.
    """
    environment = load_environment(config.environment)
    renderer = Renderer(model_directory(config.model))
    tasks = tasks_of(environment, config.steps * config.groups, split="train", seed=config.seed)
    # Tasks come template by template; a step should see a mixture.
    random.Random(config.seed).shuffle(tasks)
    check_unpublished(adapters)
    start = {1: check_adapter(Path(config.adapter))} if config.adapter else {}
    async with (
        # First, so that a wrong key or host leaves no run behind.
        connect_simulator(config.simulator, config.budget, report) as simulator,
        record_run(path, "rl", config) as store,
        PolicyEngine.start(
            config.model, start, config.groups * config.group_size, report
        ) as engine,
        ChildProcess.start("trainer", TRAINER, ["--out", str(adapters)]) as trainer,
        pulse(store, rollout_sources(simulator, engine, store, len(tasks))),
    ):
        await store.append(environment.as_record(), *(task.as_record() for task in tasks))
        await record_scoring(store, Rubric(), simulator)
        for version, adapter in start.items():
            await store.append(AdapterRecord(version, str(adapter), None, 0))
        policy = engine.policy(config, renderer, version=max(start, default=0), temperature=1.0)
        world = Simulator(simulator, environment)
        judge = Judge(simulator, environment, Rubric())
        setting = Setting(store, environment, policy, world, judge, Gate())
        steps = []
        published = Path()
        for step in range(1, config.steps + 1):
            started = time.monotonic()
            outcomes, played = await _play_step(
                config,
                step,
                tasks[(step - 1) * config.groups : step * config.groups],
                msgspec.structs.replace(setting, policy=policy),
                on_progress,
            )
            if not played:
                break
            check_some_reward(outcomes, f"step {step}")
            values = _measure(outcomes) | {"rollout_seconds": time.monotonic() - started}
            await store.append(*(MetricRecord(step, f"rollout/{k}", v) for k, v in values.items()))
            version = policy.version + 1
            try:
                published, trained = await _train(trainer, store, config, step, version)
            except ChildFailed as error:
                raise ChildFailed(
                    f"{error}, in step {step} of {config.steps}; its rollouts are stored, and "
                    f"{policy.model} is the last policy that was published"
                ) from error
            await engine.load(version, published)
            if policy.version:
                await engine.unload(policy.version)
            policy = msgspec.structs.replace(policy, version=version)
            steps.append(RlStep(step, version, values.get("reward_mean"), values | trained))
            on_step(steps[-1])
            if played < config.groups:
                break
        if not steps:
            raise BudgetSpent("the budget is spent before the first group of rollouts could begin")
        return RlResult(path, published, steps, budget_spent=len(steps) < config.steps)


async def _play_step(
    config: GrpoConfig,
    step: int,
    tasks: list[Task],
    setting: Setting,
    on_progress: Callable[[RlProgress], None],
) -> tuple[list[Outcome], int]:
    """All groups of a step at once, as far as the budget goes; how many that were."""
    outcomes: list[Outcome] = []
    total = len(tasks) * config.group_size

    def count(outcome: Outcome) -> None:
        outcomes.append(outcome)
        on_progress(RlProgress(step, config.steps, len(outcomes), total))

    def group_of(index: int, task: Task) -> Callable[[], Awaitable[object]]:
        group_id = (step - 1) * config.groups + index + 1
        # Members of a group sample with seeds of their own; no two rollouts share one.
        seed = (config.seed * 1_000_000 + group_id) * config.group_size
        plan = GroupPlan(group_id, task, config.group_size, step, seed)
        return partial(run_group, plan, setting, count)

    groups = [group_of(index, task) for index, task in enumerate(tasks)]
    return outcomes, await run_within(setting.simulator.spending, groups)


async def _train(
    trainer: ChildProcess, store: Store, config: GrpoConfig, step: int, version: int
) -> tuple[Path, dict[str, float]]:
    """Have the trainer take one step on what the store holds."""
    await trainer.send(TrainGrpo(str(store.path), msgspec.to_builtins(config), step, version))
    values: dict[str, float] = {}
    while True:
        frame = await trainer.receive()
        await store_frame(store, frame)
        match frame:
            case Metrics():
                values = frame.values
            case Published():
                return Path(frame.path), values


def _measure(outcomes: list[Outcome]) -> dict[str, float]:
    """What the rollouts of a step came to. A rollout without a reward is not a reward of 0."""
    rewards = [outcome.reward for outcome in outcomes if outcome.reward is not None]
    values = {"no_reward": float(len(outcomes) - len(rewards))}
    if rewards:
        values["reward_mean"] = sum(rewards) / len(rewards)
    for name, wanted in (("needs_action", True), ("no_action", False)):
        solved = [
            o.solved for o in outcomes if o.task.needs_action == wanted and o.solved is not None
        ]
        if solved:
            values[f"solved_{name}"] = sum(solved) / len(solved)
    stops = Counter(outcome.stop_reason for outcome in outcomes)
    return values | {f"stop/{reason}": float(n) for reason, n in stops.items()}
