"""The gate of luck in a real RL run: lucky tasks are left out, and stay so when the run goes on."""

from pathlib import Path

import pytest
from simia_store import GroupRecord, Reader

import simia_async
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.scripted_worlds import draw_tasks
from simia_async.runs.luck_gate import LuckGate, measured_beside, stored_gate
from simia_async.testing import Lies, ScriptedServer

pytestmark = pytest.mark.soak
pytest.importorskip("torch")


async def test_lucky_tasks_are_left_out_and_the_run_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "rl.db"
    told: list[str] = []
    async with ScriptedServer(lies=Lies(wrong_observations=0.4), seed=1) as server:
        settings = {
            "groups": 4,
            "group_size": 4,
            "max_turns": 4,
            "max_env_luck": 0.3,
            "luck_tasks": 12,
            "luck_replays": 4,
            "simulator": {"base_url": server.base_url, "model": "world", "api_key_env": ""},
            "run": run,
            "report": told.append,
        }
        assert len([step async for step in simia_async.train_rl(steps=1, **settings)]) == 1
        gate = stored_gate(run)
        assert gate is not None
        assert gate.measured > 0
        assert f"{len(gate.left_out)} of {gate.measured} tasks are above 30%" in " ".join(told)
        before = measured_beside(run).read_bytes()
        assert len([step async for step in simia_async.train_rl(steps=3, **settings)]) == 2
        assert stored_gate(run) == gate
        assert measured_beside(run).read_bytes() == before, "it is measured once"
    with Reader(run) as reader:
        played = {group.task_id for group in reader.all(GroupRecord)}
        counted = [metric.value for metric in reader.metrics("luck/tasks_left_out")]
    assert not played & gate.left_out.keys()
    assert counted == [len(gate.left_out)]


def test_what_is_left_out_makes_room_for_others(tmp_path: Path) -> None:
    from simia_async.config import GrpoConfig
    from simia_async.runs.rl import _read_plot

    config = GrpoConfig(steps=30, groups=4)
    names = [task.id for task in draw_tasks(MINI_RETAIL, 84, split="train")][:40]
    gate = LuckGate(0.3, 0.5, 40, dict.fromkeys(names, 0.9))
    short, long = (_read_plot(GrpoConfig(steps=steps, groups=4), gate).tasks for steps in (30, 60))
    assert len(short) == config.steps * config.groups
    assert not {task.id for task in long} & gate.left_out.keys()
    assert long[: len(short)] == short, "more steps go on with other tasks, not from the beginning"
