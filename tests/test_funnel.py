"""The funnel: every seed and every trajectory is counted once, by what became of it."""

from pathlib import Path

import pytest
from simia_store import Reader, TrajectoryStatus

import simia_async
from simia_async.cli.report import print_report
from simia_async.config import Endpoint
from simia_async.synthesis.funnel import coverage_of, funnel_of
from simia_async.testing import Faults, ScriptedServer


async def test_a_run_of_the_real_seeds_adds_up(
    tmp_path: Path, airline_seeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "air.db"
    async with ScriptedServer(faults=Faults(malformed=0.2)) as server:
        result = await simia_async.generate(
            run=run,
            environment="airline",
            seeds=str(airline_seeds),
            n=60,
            simulator=Endpoint(base_url=server.base_url, model="world", api_key_env=""),
        )
    with Reader(run) as reader:
        funnel, coverage = funnel_of(reader), coverage_of(reader)
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        called = [
            {
                call["function"]["name"]
                for turn in reader.turns(trajectory.id)
                for call in turn.message.get("tool_calls") or ()
            }
            for trajectory in kept
        ]
    assert funnel.seeds_read == 100 == funnel.seeds_used + sum(funnel.seeds_rejected.values())
    assert funnel.seeds_rejected == {"reward": 69, "unsound": 2}
    ended = funnel.kept + sum(funnel.rejected.values()) + sum(funnel.duplicates.values())
    assert (funnel.kept, funnel.simulated, funnel.under_way) == (60, ended, 0)
    assert funnel.repaired == dict(result.repaired)
    assert funnel.repaired["draft_form"] > 3
    assert coverage == {name: sum(name in tools for tools in called) for name in coverage}
    assert sum(coverage.values()) > 60
    print_report(run)
    said = capsys.readouterr().out
    for part in ("unsound", "draft_form", "transfer_to_human_agents", "reviewer"):
        assert part in said
