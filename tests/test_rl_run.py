"""RL from its first group to its last step: overlapped, cut off, repeated, evaluated."""

from pathlib import Path

import pytest
from simia_store import MetricRecord, Reader, open_store

pytest.importorskip("torch")

import simia_async
from simia_async.runs.collapse import CollapseGuard
from simia_async.runs.rl_alarms import Alarms
from simia_async.runs.rl_evaluation import HeldOut
from tests.proc import children, wait_until_gone
from tests.rl_runs import (
    RlProcess,
    check_sound,
    groups_of,
    published,
    sampled_ids,
)

SMALL = {"steps": 2, "groups": 2, "group_size": 2, "max_turns": 4}
FLAGS = ["--steps", "2", "--groups", "2", "--group-size", "2", "--max-turns", "4"]


async def test_the_next_rollouts_are_played_while_a_step_trains(tmp_path: Path) -> None:
    run = tmp_path / "rl.db"
    settings = {**SMALL, "max_staleness": 1, "eval_every": 2, "eval_tasks": 3}
    steps = [s async for s in simia_async.train_rl(run=run, **settings)]
    assert [step.values["staleness"] for step in steps] == [0.0, 1.0]
    groups = groups_of(run)
    assert {group.policy_version for group in groups.values() if group.step == 2} == {0}
    check_sound(run, steps=2, groups=2, size=2)
    check_evaluated(run, [step.held_out for step in steps])


def check_evaluated(run: Path, held_out: list[HeldOut | None]) -> None:
    before, after = held_out
    assert before is None
    assert after is not None
    assert after.greedy.needs_action.total + after.greedy.no_action.total == 3
    with Reader(run) as reader:
        assert [metric.step for metric in reader.metrics("eval/solved")] == [2]
        played = [t for t in reader.trajectories() if t.split == "heldout"]
    assert len(played) == 2 * 3, "greedy and sampled"
    assert min(t.id for t in played) > 10**9, "the ids of rollouts are their groups' own"


def test_a_killed_run_goes_on_and_trains_no_group_twice(tmp_path: Path) -> None:
    database = tmp_path / "rl.db"
    first = RlProcess(database, *FLAGS, "--run", str(database))
    assert first.wait_until(lambda reader: bool(reader.metrics("train/loss")))
    theirs = children(first.process.pid)
    first.kill()
    first.end()
    wait_until_gone(list(theirs))
    before = published(database), sampled_ids(database)
    code, said = RlProcess(database, "--resume", str(database)).end()
    assert code == 0, said
    check_sound(database, steps=2, groups=2, size=2)
    assert published(database)[: len(before[0])] == before[0]
    now = sampled_ids(database)
    for number, turns in before[1].items():
        assert now[number][: len(turns)] == turns, "what was acknowledged was not kept"
    code, said = RlProcess(database, *FLAGS, "--lr", "0.5", "--run", str(database)).end()
    assert code == 2
    assert "holds a run of kind rl already, with other settings" in said


@pytest.mark.soak
async def test_a_deterministic_run_can_be_repeated(tmp_path: Path) -> None:
    runs = [tmp_path / "one" / "rl.db", tmp_path / "two" / "rl.db"]
    for run in runs:
        run.parent.mkdir()
        steps = simia_async.train_rl(run=run, deterministic=True, seed=5, **SMALL)
        assert len([step async for step in steps]) == 2
        assert {g.step: g.policy_version for g in groups_of(run).values()} == {1: 0, 2: 1}
    one, two = (sampled_ids(run) for run in runs)
    assert one == two
    assert published(runs[0]) == published(runs[1])


def test_a_collapse_is_told() -> None:
    guard = CollapseGuard()
    told = [
        guard.warning(
            {
                "reward_mean": 0.5 + 0.03 * step,
                "solved_needs_action": 0.8 - 0.05 * step,
                "entropy": 0.1,
            }
        )
        for step in range(9)
    ]
    assert told[:7] == [None] * 7
    assert "learns to do nothing" in str(told[-1])
    assert CollapseGuard().warning({}) is None


def test_a_policy_that_says_one_thing_is_told() -> None:
    guard = CollapseGuard()
    told = [guard.warning({"entropy": 1.0 if step < 4 else 0.01}) for step in range(8)]
    assert "says the same" in str(told[-1])


def test_an_entropy_that_was_0_from_the_beginning_did_not_fall() -> None:
    guard = CollapseGuard()
    assert [guard.warning({"entropy": 0.0}) for _ in range(10)] == [None] * 10


def test_a_policy_that_refuses_is_told() -> None:
    guard = CollapseGuard()
    told = [guard.warning({"passive": 0.1 if step < 4 else 0.35}) for step in range(8)]
    assert "learns to refuse" in str(told[-1])


async def test_a_collapse_is_told_also_over_sessions(tmp_path: Path) -> None:
    told: list[str] = []
    async with open_store(tmp_path / "r.db") as store:
        for step in range(1, 8):
            entropy = 1.0 if step < 5 else 0.01
            await store.append(
                MetricRecord(step, "rollout/rollouts", 4),
                MetricRecord(step, "train/entropy", entropy),
            )
        first = Alarms(store, told.append)
        assert await first.look(8, {"entropy": 0.01}) is None
        alarms = Alarms(store, told.append)
        await alarms.recall()
        assert "says the same" in str(await alarms.look(8, {"entropy": 0.01}))
    assert [each.partition(":")[0] for each in told] == ["step 8"]


def test_a_policy_that_learns_is_no_collapse() -> None:
    guard = CollapseGuard()
    for step in range(20):
        rising = {
            "reward_mean": 0.5 + step / 50,
            "solved_needs_action": 0.5 + step / 50,
            "entropy": 0.1,
        }
        assert guard.warning(rising) is None
