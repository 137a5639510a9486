"""RL while everything around it fails now and then."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import simia_async
from simia_async.testing import ScriptedServer
from tests.rl_faults import FAULTS, check_counted, failing_every
from tests.rollout_servers import playhouse


@pytest.mark.soak
async def test_it_goes_on_and_counts_what_is_missing(tmp_path: Path) -> None:
    run = tmp_path / "rl.db"
    known = {"api_key_env": "", "retry_budget_s": 2}
    async with ScriptedServer(faults=FAULTS, seed=1, log=False) as server, playhouse() as house:
        house.instead |= {"judge": failing_every(4), "user": failing_every(12)}
        steps = simia_async.train_rl(
            run=run,
            steps=2,
            groups=2,
            group_size=4,
            max_turns=4,
            simulator={
                "base_url": server.base_url,
                "model": "world",
                "max_backoff_s": 0.01,
                **known,
            },
            user_endpoint={"base_url": house.base_url, "model": "user", **known},
            judge_endpoint={"base_url": house.base_url, "model": "judge", **known},
        )
        assert [step.step async for step in steps] == [1, 2]
    ended = check_counted(run, steps=2)
    assert ended.total() == 2 * 2 * 4
    assert ended["judge_error"] > 0
    assert ended["simulator_error"] > 0
