"""RL while everything around it fails now and then, and every tenth judgement."""

import statistics
from pathlib import Path
from typing import Any

import pytest

import simia_async
from simia_async.testing import ScriptedServer
from tests.rl_faults import FAULTS, check_counted, failing_every
from tests.rl_runs import tuned_adapter
from tests.rollout_servers import playhouse

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

NOISE = 0.12
"""Between the mean rewards of two runs of six steps: two standard errors of 48 groups' mean."""
STEPS, GROUPS, SIZE = 6, 8, 8
SETTINGS: dict[str, Any] = {"steps": STEPS, "groups": GROUPS, "group_size": SIZE, "seed": 3}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter that all begin with."""
    return tuned_adapter(tmp_path_factory.mktemp("start"))


async def rewards(start: Path, run: Path, **settings: Any) -> list[float]:
    """Mean reward of each step."""
    steps = simia_async.train_rl(run=run, adapter=str(start), **SETTINGS, **settings)
    return [step.reward_mean or 0.0 async for step in steps]


async def test_it_goes_on_counts_what_is_missing_and_learns_the_same(
    start: Path, tmp_path: Path
) -> None:
    clean = await rewards(start, tmp_path / "clean.db")
    async with ScriptedServer(faults=FAULTS, seed=1, log=False) as server, playhouse() as house:
        house.instead["judge"] = failing_every(10)
        failing = await rewards(
            start,
            tmp_path / "failing.db",
            simulator={
                "base_url": server.base_url,
                "model": "world",
                "api_key_env": "",
                "max_backoff_s": 0.2,
            },
            judge_endpoint={"base_url": house.base_url, "model": "judge", "api_key_env": ""},
        )
    print("clean", clean)
    print("failing", failing)
    assert len(clean) == len(failing) == STEPS
    assert abs(statistics.mean(clean) - statistics.mean(failing)) < NOISE
    check_counted(tmp_path / "clean.db", STEPS)
    ended = check_counted(tmp_path / "failing.db", STEPS)
    print(ended)
    assert ended.total() == STEPS * GROUPS * SIZE
    # Every tenth conversation; those that are word for word the same fall together.
    assert 0.03 < ended["judge_error"] / ended.total() < 0.25
