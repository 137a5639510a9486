"""RL while everything around it fails now and then, and every tenth judgement."""

import statistics
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from simia_store import Reader

import simia_async
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.testing import Faults, ScriptedServer
from tests.rl_runs import tuned_adapter
from tests.rollout_servers import playhouse

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

FAULTS = Faults(
    rate_limit=0.05,
    server_error=0.03,
    drop=0.02,
    drop_mid=0.01,
    malformed=0.03,
    prose=0.03,
    html=0.01,
    retry_after_s=0.01,
)
NOISE = 0.12
"""Between the mean rewards of two runs of six steps: two standard errors of 48 groups' mean."""
SETTINGS: dict[str, Any] = {"steps": 6, "groups": 8, "group_size": 8, "seed": 3}


def refuse_some(request: ChatRequest) -> str | None:
    """Nonsense for every tenth conversation, however often it is asked of it."""
    drawn = blake2b(request.prompt.encode(), digest_size=4).digest()
    return "I would rather not say." if int.from_bytes(drawn) % 10 == 0 else None


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter that all begin with."""
    return tuned_adapter(tmp_path_factory.mktemp("start"))


async def rewards(start: Path, run: Path, **settings: Any) -> list[float]:
    """Mean reward of each step; each accounts for all of its rollouts."""
    means = []
    async for step in simia_async.train_rl(run=run, adapter=str(start), **SETTINGS, **settings):
        values = step.values
        assert step.reward_mean is not None
        means.append(step.reward_mean)
        assert values["rollouts"] == SETTINGS["groups"] * SETTINGS["group_size"]
        left = values["masked"] + values["zero_variance"]
        assert values["trained"] + left == values["rollouts"]
        assert values["masked"] >= values["no_reward"]
    return means


async def test_it_goes_on_counts_what_is_missing_and_learns_the_same(
    start: Path, tmp_path: Path
) -> None:
    clean = await rewards(start, tmp_path / "clean.db")
    async with ScriptedServer(faults=FAULTS, seed=1, log=False) as server, playhouse() as house:
        house.instead["judge"] = refuse_some
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
    assert len(clean) == len(failing) == SETTINGS["steps"]
    assert abs(statistics.mean(clean) - statistics.mean(failing)) < NOISE
    with Reader(tmp_path / "failing.db") as reader:
        told = sum(metric.value for metric in reader.metrics("rollout/no_reward"))
        trajectories = list(reader.trajectories())
        unrewarded = [each for each in trajectories if each.reward is None]
        assert told == len(unrewarded)
        unjudged = [each for each in unrewarded if each.stop_reason == "judge_error"]
        # Every tenth conversation; those that are word for word the same fall together.
        assert 0.03 < len(unjudged) / len(trajectories) < 0.25
        assert all(each.reward is None for each in trajectories if each.stop_reason in BROKEN)
        print(len(unjudged), "unjudged of", len(trajectories), "and", len(unrewarded), "unrewarded")


BROKEN = ("judge_error", "simulator_error", "policy_error", "cancelled")
