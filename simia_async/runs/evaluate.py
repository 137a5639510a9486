"""Held-out evaluation, end to end: base and adapters play the same tasks."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from simia_store import AdapterRecord, MetricRecord, Store

from simia_async.builtin.task_source import tasks_of
from simia_async.config import EvalConfig
from simia_async.environments import Task, load_environment
from simia_async.errors import BudgetSpent, UsageError
from simia_async.evaluation.shares import PolicyScore, score
from simia_async.judging import Judge, Rubric
from simia_async.models import check_adapter, model_directory, policy_name
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.conversation import Outcome, Seat, Setting, run_rollout
from simia_async.rollouts.gate import Gate
from simia_async.rollouts.groups import check_some_reward, facts_of
from simia_async.runs.policies import PolicyEngine
from simia_async.runs.pulse import pulse, rollout_sources
from simia_async.runs.record import record_run
from simia_async.runs.simulators import connect_simulator
from simia_async.runs.spending import run_within
from simia_async.runs.world import record_scoring
from simia_async.simulation import Simulator
from simia_async.supervision.service import Report


class EvalResult(msgspec.Struct, frozen=True):
    """Scores, the base first. Conversations stand in the database at `run`."""

    run: Path
    tasks: int
    temperature: float
    scores: list[PolicyScore]


class EvalProgress(msgspec.Struct, frozen=True):
    """How far an evaluation is, in conversations."""

    done: int
    total: int


async def run_evaluate(
    config: EvalConfig,
    path: Path,
    *,
    report: Report,
    on_progress: Callable[[EvalProgress], None] = lambda _: None,
) -> EvalResult:
    """Play the held-out tasks with every policy and count by the exact check.

    Raises `UsageError`, `StoreError`, `EndpointError` or `ChildFailed`.
    """
    environment = load_environment(config.environment)
    renderer = Renderer(model_directory(config.model))
    tasks = tasks_of(environment, config.tasks, split="heldout", seed=config.seed)
    if any(task.check is None for task in tasks):
        raise UsageError(
            f"environment {environment.name!r} has held-out tasks without an exact `check`, which "
            "is what evaluation counts by; add one to each task"
        )
    adapters = {
        version: check_adapter(Path(adapter)) for version, adapter in enumerate(config.adapters, 1)
    }
    names = {0: "base"} | {version: str(path) for version, path in adapters.items()}
    done = 0

    def count(_: Outcome) -> None:
        nonlocal done
        done += 1
        on_progress(EvalProgress(done, len(tasks) * len(names)))

    async with (
        # First, so that a wrong key or host leaves no run behind.
        connect_simulator(config.simulator, config.budget, report) as simulator,
        record_run(path, "eval", config) as store,
        PolicyEngine.start(config.model, adapters, config.tasks, report) as engine,
        pulse(store, rollout_sources(simulator, engine, store, len(tasks) * len(names))),
    ):
        await store.append(environment.as_record(), *(task.as_record() for task in tasks))
        await record_scoring(store, Rubric(), simulator)
        for version, adapter in adapters.items():
            await store.append(AdapterRecord(version, str(adapter), None, 0))
        world = Simulator(simulator, environment)
        judge = Judge(simulator, environment, Rubric())
        scores = []
        for version, name in names.items():
            policy = engine.policy(
                config, renderer, version=version, temperature=config.temperature
            )
            setting = Setting(store, environment, policy, world, judge, Gate())
            outcomes = await _play_all(tasks, setting, config.seed, count)
            check_some_reward(outcomes, name)
            scores.append(score(name, outcomes))
            await _store_score(store, version, scores[-1])
        return EvalResult(path, len(tasks), config.temperature, scores)


async def _play_all(
    tasks: list[Task], setting: Setting, seed: int, count: Callable[[Outcome], None]
) -> list[Outcome]:
    outcomes: list[Outcome] = []

    async def play(index: int, task: Task) -> None:
        number = setting.store.new_trajectory_id()
        seat = Seat(number, task, facts_of(None, task, setting), seed=seed * 1_000_000 + index)
        outcomes.append(await run_rollout(setting, seat))
        count(outcomes[-1])

    conversations = [partial(play, index, task) for index, task in enumerate(tasks)]
    played = await run_within(setting.simulator.spending, conversations)
    if played < len(tasks):
        # Scores of fewer tasks could not be compared with the others.
        raise BudgetSpent(
            f"the budget is spent after {played} of {len(tasks)} conversations with "
            f"{policy_name(setting.policy.version)}; raise --max-cost-usd or --max-total-tokens, "
            "or lower --tasks"
        )
    return outcomes


async def _store_score(store: Store, version: int, scored: PolicyScore) -> None:
    for name in ("needs_action", "no_action"):
        share = getattr(scored, name)
        if share.total:
            await store.append(MetricRecord(version, f"eval/{name}", share.value))
