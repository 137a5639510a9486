"""What a run of rollouts that goes on takes over, and what it refuses to."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from simia_store import Reader, TrajectoryStatus

import simia_async
from simia_async.builtin.task_source import tasks_of
from simia_async.environments import Task, load_environment
from simia_async.environments.starting import start_environment
from simia_async.errors import UsageError
from simia_async.runs.rollout import PlayedGroup

AGENT = {"model": "scripted-agent"}
TASKS = tasks_of(load_environment("mini-retail"), 6, split="train", seed=0)


async def played(path: Path, **settings: Any) -> list[PlayedGroup]:
    given = {"policy": AGENT, "tasks": TASKS, "group_size": 2, **settings}
    return [group async for group in simia_async.rollout(run=path, **given)]


async def test_what_was_kept_stays_when_more_is_played(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    await played(path, tasks=TASKS[:3], keep=1.0)
    with Reader(path) as reader:
        before = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        turns = {each.id: reader.turns(each.id) for each in before}
    await played(path, keep=1.0)
    with Reader(path) as reader:
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        assert kept[:3] == before
        assert {each.id: reader.turns(each.id) for each in before} == turns
        scored = list(reader.trajectories(status=TrajectoryStatus.SCORED))
    assert len(kept) == 6
    assert [each.id for each in scored] == list(range(1, 13))


async def test_a_rubric_that_was_edited_is_refused(tmp_path: Path) -> None:
    path, rubric = tmp_path / "r.db", tmp_path / "r.toml"
    rubric.write_text('combine = "check"\n')
    await played(path, rubric=rubric, tasks=TASKS[:2])
    rubric.write_text('combine = "gate"\n')
    with pytest.raises(UsageError, match="the rubric is not what it was"):
        await played(path, rubric=rubric)
    with Reader(path) as reader:
        assert [scoring.rubric["combine"] for scoring in reader.scorings()] == ["check"]


def edited(task: Task) -> Task:
    return msgspec.structs.replace(task, goal="Something else.")


async def test_tasks_that_were_edited_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    await played(path, tasks=TASKS[:2])
    with pytest.raises(UsageError, match="or is not the same any more"):
        await played(path, tasks=[TASKS[0], edited(TASKS[1])])
    with Reader(path) as reader:
        assert {record.task["goal"] for record in reader.tasks()} == {""}


async def test_two_tasks_that_differ_have_two_ids(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the id of two tasks that differ"):
        await played(tmp_path / "r.db", tasks=[TASKS[0], edited(TASKS[0])])
    assert not (tmp_path / "r.db").exists()
    groups = await played(tmp_path / "r.db", tasks=[TASKS[0], TASKS[0]])
    assert len(groups) == 2


async def test_an_environment_that_was_loaded_can_be_judged_again(tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    start_environment(directory, "mini-retail")
    world = simia_async.load_environment(str(directory))
    await played(tmp_path / "r.db", environment=world, tasks=TASKS[:1])
    with Reader(tmp_path / "r.db") as reader:
        run = reader.run()
        assert run is not None
        assert run.config["environment"] == str(directory)
