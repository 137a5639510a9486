"""An evaluation with the real τ²-bench: it talks to our policy's endpoint, and what it found is
taken into a run of ours.

τ²-bench is a process of its own, installed by the user. It writes its results beside the run's
database, and goes on with them when a run that was cut off is started again.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
from simia_store import AdapterRecord, MetricRecord, Reader, Store

from simia_async.config import Tau2Config
from simia_async.environments import Task
from simia_async.errors import ConfigError, UsageError
from simia_async.evaluation.pass_k import PassK, passes
from simia_async.evaluation.trials import TaskTrials
from simia_async.formats.tau2 import SOLVED, Info, Results, read_results
from simia_async.models import ADAPTER_WEIGHTS, check_adapter, model_directory, policy_name
from simia_async.runs.record import record_run
from simia_async.runs.tau2_command import find_tau2, run_environment, run_words
from simia_async.runs.tau2_process import Progress, follow, results_place, written
from simia_async.runs.tau2_record import (
    group_records,
    head_records,
    simulation_records,
    tasks_of,
)
from simia_async.runs.unwritten import unwritten_metrics
from simia_async.supervision.service import Report, run_service


class Tau2Result(msgspec.Struct, frozen=True):
    """What τ²-bench found."""

    run: Path
    results: Path
    """τ²-bench's own file."""
    domain: str
    policy: str
    user: str
    git_commit: str
    """Of τ²-bench."""
    tasks: int
    simulations: int
    """Those that count."""
    not_run: int
    """Simulations that τ²-bench could not run; they count as nothing, as it counts."""
    reward_mean: float | None
    pass_k: list[PassK]
    """Up to the least number of trials that any task has."""
    ended: dict[str, int]
    """Simulations by τ²-bench's `termination_reason`."""


class _Policy(msgspec.Struct, frozen=True):
    url: str
    model: str
    adapter: Path | None = None


async def run_tau2(
    config: Tau2Config, path: Path, *, report: Report, on_progress: Progress = lambda *_: None
) -> Tau2Result:
    """Run τ²-bench against the policy, and take in what it found.

    Raises `UsageError`, `StoreError` or `ChildFailed`.
    """
    _check(config)
    environment = run_environment(config)
    command = await find_tau2(config.command)
    if config.split is not None and not command.has_splits:
        raise ConfigError("--split: this version of τ²-bench has no splits; leave it out")
    save_to = results_place(path)
    async with record_run(path, "tau2", config, may_continue=True) as store:
        async with _policy(config, report) as policy:
            words = run_words(command, config, policy.url, policy.model, save_to)
            await follow(words, environment, save_to, command, on_progress)
        return await _take_in(store, path, written(save_to), policy.adapter)


async def import_results(config: Tau2Config, path: Path, results: Path) -> Tau2Result:
    """Take in a result file of τ²-bench that is there already, as a run of ours at `path`.

    Raises `UsageError` or `StoreError`.
    """
    # Before anything is written.
    read, _, _ = await anyio.to_thread.run_sync(_read_checked, results, path)
    settings = _as_run(config, read.info)
    async with record_run(path, "tau2", settings, may_continue=True) as store:
        return await _take_in(store, path, results, None)


def _as_run(config: Tau2Config, info: Info) -> Tau2Config:
    """The settings of simulations that somebody ran, as far as their file tells them."""
    agent, user = info.agent_info, info.user_info
    return msgspec.structs.replace(
        config,
        domain=info.environment_info.domain_name,
        policy=agent.llm or "not told",
        policy_args=_temperature_alone(agent.llm_args),
        user=user.llm,
        user_args=_temperature_alone(user.llm_args),
        trials=info.num_trials,
        seed=config.seed if info.seed is None else info.seed,
    )


def _temperature_alone(arguments: dict[str, Any] | None) -> str:
    """As JSON: what else litellm was told may hold a key."""
    told = (arguments or {}).get("temperature")
    return msgspec.json.encode({} if told is None else {"temperature": told}).decode()


def _check(config: Tau2Config) -> None:
    """Raise for settings that contradict each other, before anything is started."""
    if config.policy_url is None:
        if config.policy_api_key_env is not None:
            raise ConfigError("--policy-api-key-env: also needs --policy-url: whose key it is")
        model_directory(config.model if _is_adapter(config.policy) else config.policy)
    if config.user_url is not None and config.user is None:
        raise ConfigError("--user-url: also needs --user: the model's name there")
    if config.user_url is None and config.user_api_key_env is not None:
        raise ConfigError(
            "--user-api-key-env: also needs --user-url; the key of a model that litellm knows "
            "stays in the variable that litellm reads, such as OPENAI_API_KEY"
        )


def _is_adapter(policy: str) -> bool:
    return (Path(policy) / ADAPTER_WEIGHTS).is_file()


@asynccontextmanager
async def _policy(config: Tau2Config, report: Report) -> AsyncIterator[_Policy]:
    """The policy's endpoint: the one that is named, or one of our own while it is needed."""
    if config.policy_url is not None:
        yield _Policy(config.policy_url, config.policy)
        return
    flags, adapter = ["--model", str(model_directory(config.policy))], None
    if _is_adapter(config.policy):
        adapter = check_adapter(Path(config.policy))
        flags = ["--model", str(model_directory(config.model))]
        flags += ["--adapter", f"{policy_name(1)}={adapter}"]
    async with run_service(
        "policy engine", "simia_async.inference.server", report, lambda: flags
    ) as service:
        yield _Policy(service.base_url, policy_name(1 if adapter else 0), adapter)


async def _take_in(store: Store, path: Path, file: Path, adapter: Path | None) -> Tau2Result:
    """Store the simulations that are not there yet, and count all of them."""
    results, tasks, stored = await anyio.to_thread.run_sync(_read_checked, file, path)
    version = 1 if adapter else 0
    if not stored:
        await store.append(*head_records(results, tasks.values()))
        if adapter is not None:
            await store.append(AdapterRecord(version, str(adapter), None, 0))
    groups = group_records(results, version)
    if groups:
        await store.append(*groups.values())
    for simulation in results.simulations:
        if simulation.id not in stored:
            group = groups[str(simulation.task_id)]
            number = store.new_trajectory_id()
            await store.append(*simulation_records(simulation, results, number, group, version))
    result = _counted(results, tasks, path, file)
    metrics = [
        MetricRecord(version, f"eval/pass^{each.k}", each.all.value)
        for each in result.pass_k
        if each.all is not None
    ]
    await store.append(*await anyio.to_thread.run_sync(unwritten_metrics, path, metrics))
    return result


def _read_checked(file: Path, path: Path) -> tuple[Results, dict[str, Task], set[str]]:
    """What `file` holds, its tasks by id, and the simulations that the run at `path` holds already.

    Raises `UsageError` if one is of a task that the file does not tell, or if the run is of
    another file: τ²-bench that goes on may replace some of its simulations, but not all.
    """
    results = read_results(file)
    tasks = tasks_of(results)
    unknown = next((s.task_id for s in results.simulations if str(s.task_id) not in tasks), None)
    if unknown is not None:
        raise UsageError(f"{file}: has simulations of task {unknown!r}, which is not in `tasks`")
    stored = _stored_simulations(path)
    if stored and stored.isdisjoint(each.id for each in results.simulations):
        raise UsageError(
            f"{file}: holds other simulations than {path} does; take it into another database "
            "with --run"
        )
    return results, tasks, stored


def _stored_simulations(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with Reader(path) as reader:
        return {
            each.detail["simulation"]
            for each in reader.trajectories()
            if "simulation" in each.detail
        }


def _counted(results: Results, tasks: dict[str, Task], path: Path, file: Path) -> Tau2Result:
    rewards: dict[str, list[float]] = {}
    for simulation in results.simulations:
        if simulation.reward is not None:
            rewards.setdefault(str(simulation.task_id), []).append(simulation.reward)
    tried = [
        TaskTrials(task_id, tasks[task_id].needs_action, tuple(r >= SOLVED for r in of_task))
        for task_id, of_task in rewards.items()
    ]
    counted = [reward for of_task in rewards.values() for reward in of_task]
    info = results.info
    return Tau2Result(
        run=path,
        results=file,
        domain=info.environment_info.domain_name,
        policy=info.agent_info.llm or "",
        user=info.user_info.llm or "",
        git_commit=info.git_commit,
        tasks=len(tried),
        simulations=len(counted),
        not_run=len(results.simulations) - len(counted),
        reward_mean=sum(counted) / len(counted) if counted else None,
        pass_k=passes(tried, min((len(each.solved) for each in tried), default=0)),
        ended=dict(Counter(each.termination_reason for each in results.simulations)),
    )
