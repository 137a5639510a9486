"""The hidden judge of RL, the gate of luck, and rubrics that lose criteria at random."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simia_store import MetricRecord, Reader, open_store

import simia_async
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.scripted_worlds import draw_tasks
from simia_async.config import SCRIPTED_AGENT, Endpoint, GrpoConfig, PolicyEndpoint
from simia_async.config.fields import BadSetting
from simia_async.config.roles import AuditEndpoint
from simia_async.environments import Criterion
from simia_async.errors import UsageError
from simia_async.judging import dropped_criteria
from simia_async.runs.audit_guard import AuditGuard
from simia_async.runs.luck_gate import LuckGate, measure_luck, measured_beside, spent_on_luck
from simia_async.runs.rl_alarms import Alarms
from simia_async.testing import Lies, ScriptedServer

CRITERIA = tuple(Criterion(name, name) for name in "abcdef")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@given(st.floats(0, 0.99), st.integers(0, 50), st.integers(1, 500), st.integers(0, 6))
def test_never_all_criteria_are_left_out(share: float, seed: int, group: int, count: int) -> None:
    criteria = CRITERIA[:count]
    dropped = dropped_criteria(criteria, share, seed, group)
    assert dropped == dropped_criteria(criteria, share, seed, group)
    assert dropped <= {each.name for each in criteria}
    assert len(dropped) < count or not count


def test_so_large_a_share_of_criteria_is_left_out() -> None:
    dropped = sum(len(dropped_criteria(CRITERIA, 0.3, 0, group)) for group in range(2000))
    assert dropped / (6 * 2000) == pytest.approx(0.3, abs=0.02)
    assert not dropped_criteria(CRITERIA, 0.0, 0, 1)


def step(reward: float, gap: float, std: float = 0.3) -> dict[str, float]:
    return {
        "reward_mean": reward,
        "audit/reward_gap": gap,
        "audit/reward_gap_std": std,
        "audit/judged": 32.0,
    }


def test_a_policy_that_pleases_its_judge_is_told() -> None:
    guard = AuditGuard()
    told = [guard.warning(step(0.5 + 0.03 * n, 0.05 * n)) for n in range(9)]
    assert told[:7] == [None] * 7
    assert "please its judge" in str(told[-1])


@pytest.mark.parametrize(
    ("reward", "gap", "std"),
    [
        (0.03, 0.0, 0.3),  # both judges see the reward rise
        (0.0, 0.05, 0.3),  # the reward does not rise
        (0.03, 0.03, 2.0),  # the gap grows by less than it is uncertain
    ],
)
def test_other_runs_raise_no_alarm(reward: float, gap: float, std: float) -> None:
    guard = AuditGuard()
    told = [guard.warning(step(0.4 + reward * n, gap * n, std)) for n in range(12)]
    assert told == [None] * 12
    assert guard.warning({"reward_mean": 1.0}) is None, "a step that was not audited"


async def test_an_alarm_is_told_and_written_down_also_over_sessions(tmp_path: Path) -> None:
    told: list[str] = []
    async with open_store(tmp_path / "r.db") as store:
        for n in range(1, 8):
            values = step(0.5 + 0.03 * n, 0.05 * n)
            values["rollout/reward_mean"] = values.pop("reward_mean")
            await store.append(*(MetricRecord(n, name, value) for name, value in values.items()))
        alarms = Alarms(store, told.append)
        await alarms.recall()
        assert "please its judge" in str(await alarms.look(8, step(0.74, 0.4)))
        await store.append()
    assert told[0].startswith("step 8: ALARM: the reward rose from")
    with Reader(tmp_path / "r.db") as reader:
        assert [(m.step, m.value) for m in reader.metrics("audit/alarm")] == [(8, 1.0)]


def test_a_hidden_judge_must_differ_and_be_used() -> None:
    other = AuditEndpoint(model="other")
    with pytest.raises(BadSetting, match="audit_share: also needs --audit-judge-model"):
        GrpoConfig(audit_share=0.5)
    with pytest.raises(BadSetting, match="also needs --audit-share"):
        GrpoConfig(audit_endpoint=other)
    assert GrpoConfig(audit_share=0.5, audit_endpoint=other)


def by_agent(server: ScriptedServer, **own: Any) -> GrpoConfig:
    """The policy is no trained one here: what is looked at comes before the first step."""
    return GrpoConfig(
        simulator=Endpoint(base_url=server.base_url, model="world", api_key_env=""),
        policy=PolicyEndpoint(base_url=server.base_url, model=SCRIPTED_AGENT, api_key_env=""),
        **{"luck_tasks": 6, "luck_replays": 3, "group_size": 2, **own},
    )


async def test_a_run_of_luck_is_refused_and_steady_tasks_are_kept(
    server: ScriptedServer, tmp_path: Path
) -> None:
    tasks = [task for task in draw_tasks(MINI_RETAIL, 40, split="train") if task.needs_action]
    told: list[str] = []
    steady = await measure_luck(by_agent(server), 0.5, tmp_path / "a.db", tasks, told.append)
    assert steady == LuckGate(0.5, 0.0, 6, {})
    assert "0 of 6 tasks are above 50% and left out" in told[-1]
    assert spent_on_luck(tmp_path / "a.db").spent.tokens > 0
    server.lies = Lies(wrong_observations=0.6)
    with pytest.raises(UsageError, match=r"--max-env-luck: in \d of the \d tasks"):
        await measure_luck(by_agent(server), 0.05, tmp_path / "b.db", tasks, told.append)
    assert await anyio.Path(measured_beside(tmp_path / "b.db")).exists()


@pytest.mark.soak
async def test_rl_with_a_hidden_judge_and_dropout(server: ScriptedServer, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run = tmp_path / "rl.db"

    async with ScriptedServer(lies=Lies(flipped_judgements=1.0)) as hidden:
        steps = simia_async.train_rl(
            run=run,
            steps=1,
            groups=2,
            group_size=2,
            max_turns=2,
            simulator={"base_url": server.base_url, "model": "world", "api_key_env": ""},
            audit_share=1.0,
            audit_endpoint={"base_url": hidden.base_url, "model": "other", "api_key_env": ""},
            rubric_dropout=0.6,
        )
        [step] = [step async for step in steps]
        asked = len(hidden.log.served())
    assert asked == step.values["audit/judged"] == 4
    assert step.values["audit/failed"] == 0
    assert step.values["audit/agreement"] < 1
    with Reader(run) as reader:
        scorings = {each.id: each.judge for each in reader.scorings()}
        hidden_rewards = {j.trajectory_id: j.reward for j in reader.judgements(scoring_id=2)}
        rollouts = {t.id: t for t in reader.trajectories()}
        stored = {name: reader.metrics(name) for name in reader.metric_names()}
    assert scorings[2] == "other"
    gap = sum(rollouts[n].reward - reward for n, reward in hidden_rewards.items()) / 4
    assert [m.value for m in stored["audit/reward_gap"]] == [pytest.approx(gap)]
    for group in (1, 2):
        dropped = [t.detail.get("dropped") for t in rollouts.values() if t.group_id == group]
        assert len(dropped) == 2
        assert dropped[0] == dropped[1], "rewards of a group are compared"
        for rollout in rollouts.values():
            left_out = set(rollout.detail.get("dropped") or ())
            assert not left_out & set(rollout.detail.get("criteria") or ())
