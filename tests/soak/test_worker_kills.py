"""Runs whose workers are killed again and again, held against one that was left alone."""

import asyncio
import os
import random
import signal
from pathlib import Path

import msgspec
import pytest
from simia_store.checks import check

from simia_async.config import RolloutConfig
from simia_async.runs.rollout import run_rollouts
from simia_async.testing import Quota, ScriptedServer
from simia_async.workers import pool
from tests.killed_rollouts import look
from tests.worker_runs import (
    check_same,
    check_within,
    config_for,
    sent_by,
    until,
    workers_of,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

KILLS = 20
RPM = 6000


@pytest.mark.parametrize("seed", [1, 2])
async def test_many_kills_of_workers_change_nothing(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "RESTARTS", KILLS)
    chance = random.Random(seed)
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    quota = Quota(rpm=RPM)
    async with (
        ScriptedServer(latency="lognormal:0.1,0.5", quota=quota) as server,
        ScriptedServer(log=False) as calm,
    ):
        await run_rollouts(
            config_for(calm.base_url, tasks=60, group_size=4), whole, report=pytest.fail
        )
        config = config_for(
            server.base_url,
            tasks=60,
            group_size=4,
            concurrency=24,
            workers=3,
        )
        config = _limited(config, RPM // 2)
        playing = asyncio.create_task(run_rollouts(config, killed, report=print))
        await until(lambda: bool(look(killed).turns))
        kills = 0
        while kills < KILLS and not playing.done():
            await asyncio.sleep(chance.uniform(0.2, 2.5))
            if there := workers_of(os.getpid()):
                os.kill(chance.choice(there), signal.SIGKILL)
                kills += 1
        result = await playing
    assert kills > 5
    assert result.scored == 240
    assert check(killed).problems == []
    check_same(whole, killed)
    end = look(killed)
    lost = sum(call.status == "CutOff" for call in end.calls)
    answered = sum(call.status == "ok" for call in end.calls)
    asked = sum(each.path.endswith("/completions") for each in server.log.served())
    print(f"{kills} kills, {lost} calls counted as lost, {asked - answered} answered in vain")
    assert asked - answered <= lost == result.spending.lost_calls
    seen = quota.statistics()
    assert seen.refused_for_requests <= 0.05 * seen.admitted, seen
    check_within(sent_by(killed), RPM, RPM / 60 + 8)


def _limited(config: RolloutConfig, rpm: float) -> RolloutConfig:
    """The same run, with policy and world held to `rpm` each: they are one server."""
    return msgspec.structs.replace(
        config,
        simulator=msgspec.structs.replace(config.simulator, requests_per_minute=rpm),
        policy=msgspec.structs.replace(config.policy, requests_per_minute=rpm),
    )
