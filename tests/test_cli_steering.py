"""`simia runs pause|resume|concurrency|cancel|stop`, asked of a run that goes on."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from simia_store import Reader, StoreError, TrajectoryStatus, TurnRecord
from typer.testing import CliRunner, Result

from simia_async.cli.main import app
from simia_async.config import RolloutConfig
from simia_async.config.resolve import configure, keywords_layer
from simia_async.errors import RunStopped
from simia_async.runs.rollout import run_rollouts
from simia_async.testing import ScriptedServer
from tests.rollout_servers import until


async def simia(*arguments: object) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(map(str, arguments)))


def turns(path: Path) -> int:
    with suppress(StoreError), Reader(path) as reader:
        return sum(1 for _ in reader.all(TurnRecord))
    return 0  # The run has not begun to write.


async def test_a_run_is_steered_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    async with ScriptedServer(latency=0.2) as server:
        place = {"base_url": server.base_url, "api_key_env": ""}
        settings = {
            "simulator": {**place, "model": "world"},
            "policy": {**place, "model": "scripted-agent"},
            "tasks": 500,
            "concurrency": 4,
        }
        config = configure(RolloutConfig, keywords_layer(RolloutConfig, settings))
        run = asyncio.create_task(run_rollouts(config, path, report=print))
        await until(lambda: turns(path) > 0)

        paused = await simia("runs", "pause", path)
        assert "paused" in paused.stdout, paused.output
        await asyncio.sleep(0.5)
        held = turns(path)
        await asyncio.sleep(0.5)
        assert turns(path) == held

        refused = await simia("runs", "cancel", path, 77777)
        assert refused.exit_code == 2
        assert "trajectory 77777 is not under way" in refused.stderr
        assert (await simia("runs", "cancel", path, 2)).exit_code == 0
        assert (await simia("runs", "concurrency", path, 1)).exit_code == 0
        assert (await simia("runs", "resume", path)).exit_code == 0
        await until(lambda: turns(path) > held)

        assert "the run ended: stopped" in (await simia("runs", "stop", path)).stdout
        with pytest.raises(RunStopped):
            await run
    with Reader(path) as reader:
        cancelled = reader.trajectory(2)
        assert cancelled is not None
        assert (cancelled.status, cancelled.stop_reason) == (TrajectoryStatus.UNSCORED, "cancelled")
    late = await simia("runs", "pause", path)
    assert late.exit_code == 2
    assert "nobody owns this run (stopped), so there is nothing to pause" in late.stderr
