"""What a run holds for a judge: read and checked before anything is written."""

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
from simia_store import Reader, TrajectoryRecord

from simia_async.config import JudgeConfig
from simia_async.environments import Environment, Task, load_environment
from simia_async.errors import StoreError, UsageError
from simia_async.judging import Rubric, check_judgeable, choose_rubric
from simia_async.runs.stored_cases import is_judgeable
from simia_async.runs.world import check_same_world


class Docket(msgspec.Struct, frozen=True):
    """What a run holds for a judge."""

    environment: Environment
    tasks: Mapping[str, Task]
    """By id."""
    cases: list[TrajectoryRecord]
    grounded: bool
    rubric: Rubric


def read_docket(config: JudgeConfig, path: Path, only: Collection[int] = ()) -> Docket:
    """What is to be judged: all, or `only` the conversations of these numbers. Raises `UsageError`
    if it cannot be, before anything is written.
    """
    rubric = choose_rubric(config.rubric, config.votes)
    with Reader(path) as reader:
        run = reader.run()
        cases = [each for each in reader.trajectories() if is_judgeable(each)]
        tasks = {
            record.id: msgspec.convert(record.task, Task)
            for record in reader.tasks()
            if record.task
        }
    if run is None or not cases:
        raise UsageError(
            f"{path}: holds no conversation of a policy that came to an end; expected a run of "
            "simia rollout, train rl or eval"
        )
    ended = {case.id for case in cases}
    if wrong := [number for number in only if number not in ended]:
        raise UsageError(
            f"{path}: --trajectory: found {wrong[0]}, which is no conversation of a policy that "
            "came to an end"
        )
    cases = [case for case in cases if not only or case.id in only]
    lacking = next((case for case in cases if case.task_id not in tasks), None)
    if lacking is not None:
        raise StoreError(f"{path}: damaged: task {lacking.task_id!r} of {lacking.id} is missing")
    tasks = {case.task_id: tasks[case.task_id] for case in cases}
    grounded = run.config.get("world", "grounded") != "transcript"
    check_judgeable(rubric, tasks.values(), keeps_state=grounded)
    environment = load_environment(run.config["environment"])
    check_same_world(path, environment)
    return Docket(environment, tasks, cases, grounded, rubric)
