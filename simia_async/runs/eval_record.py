"""An evaluation as its record tells it: which policy solved which task in which trial."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
from simia_store import EnvironmentRecord, GroupRecord, Reader, RunRecord, RunStatus

from simia_async.errors import UsageError
from simia_async.evaluation.trials import TaskTrials
from simia_async.models import policy_name
from simia_async.rollouts.stop_reason import UNJUDGED

_KINDS = ("eval", "tau2")


class Arm(msgspec.Struct, frozen=True):
    """One policy at one temperature."""

    version: int
    """0: the base."""
    policy: str
    """What it is called: a model, or an adapter's directory."""
    temperature: float | None
    """None: the benchmark's own, which is not told."""


class Evaluation(msgspec.Struct, frozen=True):
    """What was played, but for trials that have not ended, or that τ²-bench could not run."""

    run: RunRecord
    environment: EnvironmentRecord
    tasks: dict[str, dict[str, Any]]
    """By id, as they are stored."""
    arms: dict[Arm, list[TaskTrials]]
    """Tasks in the order in which they were played first."""

    @property
    def is_whole(self) -> bool:
        """Whether everything that was wanted was played."""
        return self.run.status == RunStatus.DONE


def read_evaluation(path: Path) -> Evaluation:
    """Read the evaluation at `path`. Raises `StoreError`, or `UsageError` if it is none."""
    with Reader(path) as reader:
        run = reader.run()
        if run is None or run.kind not in _KINDS:
            found = (
                "no run was begun there" if run is None else f"it holds a run of kind {run.kind}"
            )
            raise UsageError(f"{path}: is no evaluation: {found}; expected a run of simia eval")
        groups = {group.id: group for group in reader.all(GroupRecord)}
        names = {0: _base_name(run)} | {each.version: each.path for each in reader.adapters()}
        tasks = {record.id: record.task for record in reader.tasks()}
        trials = _trials(path, reader, groups, is_tau2=run.kind == "tau2")
        environment = reader.environment()
    arms: dict[Arm, list[TaskTrials]] = {}
    temperatures = run.config.get("temperatures") or [_stated_temperature(run)]
    for (version, at, task_id), ended in sorted(trials.items(), key=lambda item: min(item[1])):
        # An endpoint's own adapters have no record here.
        name = names.get(version, policy_name(version))
        needs = bool(tasks[task_id]["needs_action"])
        in_order = [ended[number] for number in sorted(ended)]
        solved = tuple(bool(each) for each in in_order)
        arm = Arm(version, name, temperatures[at])
        arms.setdefault(arm, []).append(TaskTrials(task_id, needs, solved, in_order.count(None)))
    in_order_of = sorted(arms, key=lambda arm: (arm.version, temperatures.index(arm.temperature)))
    return Evaluation(run, environment, tasks, {arm: arms[arm] for arm in in_order_of})


def _trials(
    path: Path, reader: Reader, groups: dict[int, GroupRecord], *, is_tau2: bool
) -> dict[tuple[int, int, str], dict[int, bool | None]]:
    """Whether each trial solved its task, by its conversation; None where that tells nothing of
    the policy. Keys are version, number of the temperature, and task.
    """
    trials: dict[tuple[int, int, str], dict[int, bool | None]] = defaultdict(dict)
    for each in reader.trajectories():
        if each.group_id is None:
            raise UsageError(
                f"{path}: was written by an earlier simia-async, which did not tell trials apart; "
                "evaluate once more"
            )
        # What τ²-bench gave no reward it could not run, and counts as nothing itself.
        if each.stop_reason is not None and not (is_tau2 and each.reward is None):
            group = groups[each.group_id]
            counts = each.stop_reason not in UNJUDGED
            solved = each.detail.get("solved") is True if counts else None
            trials[group.policy_version, group.step, group.task_id][each.id] = solved
    return trials


def _base_name(run: RunRecord) -> str:
    policy = run.config.get("policy")
    return policy if isinstance(policy, str) else str((policy or {}).get("model") or "base")


def _stated_temperature(run: RunRecord) -> float | None:
    """Of a run that knows one: what the benchmark was told; None if it was told none."""
    arguments = msgspec.json.decode(run.config.get("policy_args") or "{}", type=dict[str, Any])
    stated = arguments.get("temperature")
    return float(stated) if isinstance(stated, int | float) else None
