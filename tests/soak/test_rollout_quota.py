"""A run of rollouts at a provider's quota: what is paid for is used."""

import time
from pathlib import Path

import pytest
from simia_store import Reader, TrajectoryStatus

from simia_async.config import SCRIPTED_AGENT, Endpoint, PolicyEndpoint, RolloutConfig
from simia_async.runs.rollout import run_rollouts
from simia_async.testing import Quota, ScriptedServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

TASKS = 300


@pytest.mark.parametrize(
    ("rpm", "tpm"), [(3000, 100_000_000), (100_000, 1_500_000)], ids=["requests", "tokens"]
)
async def test_nine_tenths_of_the_worlds_quota_are_used(
    rpm: float, tpm: float, tmp_path: Path
) -> None:
    quota = Quota(rpm=rpm, tpm=tpm)
    path = tmp_path / "r.db"
    async with (
        ScriptedServer(latency="lognormal:0.05,0.5", log=False) as agent,
        ScriptedServer(latency="lognormal:0.2,0.5", quota=quota, log=False) as world,
    ):
        config = RolloutConfig(
            tasks=TASKS,
            group_size=2,
            policy=PolicyEndpoint(base_url=agent.base_url, model=SCRIPTED_AGENT, api_key_env=""),
            simulator=Endpoint(base_url=world.base_url, model="world", api_key_env=""),
        )
        began = time.monotonic()
        result = await run_rollouts(config, path, report=pytest.fail)
        minutes = (time.monotonic() - began) / 60
    seen = quota.statistics()
    use = {
        "requests": seen.admitted / (rpm * minutes),
        "tokens": seen.admitted_tokens / (tpm * minutes),
    }
    refused = seen.refused_for_requests + seen.refused_for_tokens
    print(f"{use} of the quota used in {minutes * 60:.1f} s; {seen}")
    assert max(use.values()) >= 0.9
    assert refused <= 0.05 * seen.admitted
    assert result.rollouts == 2 * TASKS
    with Reader(path) as reader:
        assert {each.status for each in reader.trajectories()} == {TrajectoryStatus.SCORED}
