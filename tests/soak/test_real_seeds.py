"""The real seeds, 2,000 trajectories, an endpoint that fails in every way: nothing is lost, and
what is kept is what would have been kept without the failures.
"""

from pathlib import Path

import pytest
from simia_store import Reader, TrajectoryStatus
from simia_store.checks import check

import simia_async
from simia_async.config import Endpoint
from simia_async.runs.generate import GenerateResult
from simia_async.testing import Faults, ScriptedServer

FAULTS = Faults(rate_limit=0.20, server_error=0.05, malformed=0.05, hang=0.01, retry_after_s=0.2)


async def amplify(run: Path, seeds: Path, server: ScriptedServer) -> GenerateResult:
    simulator = Endpoint(base_url=server.base_url, model="world", api_key_env="", timeout_s=5.0)
    return await simia_async.generate(
        run=run, environment="airline", seeds=str(seeds), n=2000, simulator=simulator
    )


def kept(run: Path) -> dict[int, list[object]]:
    with Reader(run) as reader:
        return {
            trajectory.id: [turn.message for turn in reader.turns(trajectory.id)]
            for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT)
        }


@pytest.mark.soak
async def test_failures_of_the_endpoint_cost_no_trajectory(
    tmp_path: Path, airline_seeds: Path
) -> None:
    quiet, stormy = tmp_path / "quiet.db", tmp_path / "stormy.db"
    async with ScriptedServer(log_bodies=False) as server:
        await amplify(quiet, airline_seeds, server)
    async with ScriptedServer(faults=FAULTS, log_bodies=False) as server:
        result = await amplify(stormy, airline_seeds, server)
        assert len({record.fault for record in server.log}) == 5
    print(result)
    assert result.kept >= 1800
    assert result.simulated <= 3000
    assert result.kept + result.rejected.total() == result.simulated
    assert check(stormy).problems == []
    with Reader(stormy) as reader:
        for trajectory in reader.trajectories(status=TrajectoryStatus.REJECTED):
            assert trajectory.rejected_by
            assert trajectory.reason
    # Only what a call failed at beyond its budget may be missing.
    lost = result.rejected["simulator"]
    without, withal = kept(quiet), kept(stormy)
    common = without.keys() & withal.keys()
    assert len(common) >= 2000 - lost
    assert all(without[number] == withal[number] for number in common)
