"""The budgets of GRPO and of evaluation, through their real children."""

from pathlib import Path

import pytest
from simia_store import Reader, RunStatus, TrajectoryStatus

import simia_async
from simia_async.config import Budget, Endpoint
from simia_async.errors import BudgetSpent
from simia_async.testing import ScriptedServer

pytestmark = pytest.mark.soak
pytest.importorskip("torch")


def priced(server: ScriptedServer) -> Endpoint:
    return Endpoint(
        base_url=server.base_url,
        model="world",
        api_key_env="",
        usd_per_million_in=1.0,
        usd_per_million_out=5.0,
    )


async def test_rl_stops_between_groups_and_trains_on_those_that_were_played(
    tmp_path: Path,
) -> None:
    run = tmp_path / "rl.db"
    async with ScriptedServer() as server:
        result = await simia_async.train_rl(
            run=run,
            steps=3,
            groups=2,
            group_size=2,
            max_turns=2,
            max_tokens=40,
            simulator=priced(server),
            budget=Budget(max_cost_usd=0.018),
        )
    assert result.budget_spent
    assert [step.values["rollouts"] for step in result.steps] == [4, 2]
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.DONE
        groups = [group for step in (1, 2, 3) for group in reader.groups(step)]
        assert [len(group.rewards) for group in groups] == [2, 2, 2]
        (spending,) = [s.sample for s in reader.statistics() if s.source == "spending"]
        assert spending["projected_usd"] > spending["spent_usd"] > 0.012
        assert spending["spent_usd"] <= 0.018


async def test_evaluation_says_how_far_the_budget_went(tmp_path: Path) -> None:
    run = tmp_path / "e.db"
    async with ScriptedServer() as server:
        with pytest.raises(BudgetSpent, match=r"after \d+ of 12 conversations with"):
            await simia_async.evaluate(
                run=run,
                tasks=12,
                max_turns=2,
                max_tokens=40,
                simulator=priced(server),
                budget=Budget(max_tokens=15_000),
            )
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.FAILED
        statuses = {trajectory.status for trajectory in reader.trajectories()}
        assert TrajectoryStatus.RUNNING not in statuses, "what had begun was not cut off"
