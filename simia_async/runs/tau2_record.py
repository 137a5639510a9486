"""Simulations of τ²-bench as the store keeps conversations, with their true rewards."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from simia_store import (
    CallRecord,
    EnvironmentRecord,
    GroupRecord,
    JudgementRecord,
    ScoringRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)
from simia_store.records import Record

from simia_async.environments import Environment, Task
from simia_async.environments.tau2_tasks import tau2_task
from simia_async.errors import UsageError
from simia_async.formats.tau2 import SOLVED, Results, RewardInfo, Simulation, Spoken
from simia_async.rollouts.conversation import SCORING
from simia_async.rollouts.stop_reason import StopReason

JUDGE = "τ²-bench"
"""Who judged, in the record."""

_STOP_REASONS = {
    "user_stop": StopReason.USER_DONE,
    "agent_stop": StopReason.AGENT_DONE,
    "max_steps": StopReason.MAX_TURNS,
    "timeout": StopReason.MAX_TURNS,
    "context_window_exceeded": StopReason.CONTEXT_FULL,
    "agent_error": StopReason.POLICY_ERROR,
    "too_many_errors": StopReason.POLICY_ERROR,
}
"""What τ²-bench calls the end of a simulation; any other is a failure of its own."""
_BOUNDARIES = {StopReason.POLICY_ERROR: "policy", StopReason.SIMULATOR_ERROR: "simulator"}


def tasks_of(results: Results) -> dict[str, Task]:
    """The tasks that were run, by id. Raises `UsageError` naming the task."""
    info = results.info.environment_info
    environment = Environment(info.domain_name, info.policy, [])
    tasks = {}
    for index, raw in enumerate(results.tasks):
        try:
            task = tau2_task(raw, environment)
        except msgspec.ValidationError as error:
            raise UsageError(f"result file of τ²-bench: task {index}: {error}") from error
        tasks[task.id] = task
    return tasks


def head_records(results: Results, tasks: Iterable[Task]) -> Iterator[Record]:
    """What is true of all simulations."""
    info = results.info.environment_info
    yield EnvironmentRecord(info.domain_name, info.policy, [])
    yield from (task.as_record() for task in tasks)
    rubric = {"combine": "τ²-bench's evaluator", "git_commit": results.info.git_commit}
    yield ScoringRecord(SCORING, rubric, JUDGE)


def simulation_records(
    simulation: Simulation, results: Results, number: int, group: GroupRecord, version: int
) -> Iterator[Record]:
    """The trajectory `number`, its turns, its judgement and the calls that were made for it."""
    info = results.info
    yield TrajectoryRecord(
        id=number,
        environment=info.environment_info.domain_name,
        task_id=str(simulation.task_id),
        split="heldout",
        group_id=group.id,
        policy_version=version,
        finished_at=datetime.now(UTC).timestamp(),
        **_ending(simulation),
    )
    spoken = simulation.spoken
    for position, message in enumerate(spoken):
        wire = message.as_message().as_wire()
        yield TurnRecord(number, position, message.role, wire, is_error=message.error)
    if simulation.reward_info is not None and simulation.reward is not None:
        yield _judgement(number, simulation.reward_info)
    sides = {"assistant": ("policy", info.agent_info), "user": ("user", info.user_info)}
    for message in simulation.messages or ():
        if message.role in sides and message.usage:
            role, side = sides[message.role]
            yield _call(number, role, side.llm or "", side.llm_args or {}, message)


def group_records(results: Results, version: int) -> dict[str, GroupRecord]:
    """The trials of each task, by its id, numbered in the order of the file from 1."""
    rewards: dict[str, list[float | None]] = {}
    for simulation in results.simulations:
        rewards.setdefault(str(simulation.task_id), []).append(simulation.reward)
    return {
        task_id: GroupRecord(number, task_id, 0, version, len(of_task), of_task)
        for number, (task_id, of_task) in enumerate(rewards.items(), 1)
    }


def _ending(simulation: Simulation) -> dict[str, Any]:
    """How it ended, as far as that differs from one to another."""
    stop = _STOP_REASONS.get(simulation.termination_reason, StopReason.SIMULATOR_ERROR)
    reward = simulation.reward
    own = [message for message in simulation.messages or () if message.is_users_own]
    detail: dict[str, Any] = {
        "simulation": simulation.id,
        "trial": simulation.trial,
        "termination_reason": simulation.termination_reason,
    }
    if reward is not None:
        detail["solved"] = reward >= SOLVED
    if own:
        detail["user_calls"] = [message.as_message().as_wire() for message in own]
    failed = None if reward is not None else f"τ²-bench ended it: {simulation.termination_reason}"
    return {
        "status": TrajectoryStatus.UNSCORED if reward is None else TrajectoryStatus.SCORED,
        "stop_reason": stop.value,
        "reward": reward,
        "boundary": _BOUNDARIES.get(stop),
        "reason": failed,
        "detail": detail,
    }


def _judgement(number: int, info: RewardInfo) -> JudgementRecord:
    basis = ", ".join(info.reward_basis or ()) or "not run to its end"
    detail = {"criteria": dict(_criteria(info)), "checks": dict(_checks(info))}
    return JudgementRecord(SCORING, number, info.reward, f"counted by: {basis}", detail)


def _checks(info: RewardInfo) -> Iterator[tuple[str, bool]]:
    if info.db_check is not None:
        yield "database", bool(info.db_check.get("db_match"))
    for index, check in enumerate(info.env_assertions or (), 1):
        yield f"world_{index}", bool(check.get("met"))
    for index, check in enumerate(info.communicate_checks or (), 1):
        yield f"said_{index}", bool(check.get("met"))


def _criteria(info: RewardInfo) -> Iterator[tuple[str, bool]]:
    for index, check in enumerate(info.action_checks or (), 1):
        name = check.get("action", {}).get("name", "")
        yield f"action_{index} {name}".strip(), bool(check.get("action_match"))
    for index, check in enumerate(info.nl_assertions or (), 1):
        yield f"claim_{index}", bool(check.get("met"))


def _call(
    number: int, role: str, model: str, arguments: dict[str, Any], message: Spoken
) -> CallRecord:
    usage = message.usage or {}
    return CallRecord(
        trajectory_id=number,
        role=role,
        endpoint=str(arguments.get("api_base") or model.partition("/")[0]),
        model=model,
        attempt=1,
        status="ok",
        latency_s=message.generation_time_seconds or 0.0,
        tokens_in=int(usage.get("prompt_tokens") or 0),
        tokens_out=int(usage.get("completion_tokens") or 0),
        # litellm tells 0 of a model whose price it does not know.
        cost_usd=message.cost or None,
    )
