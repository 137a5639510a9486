"""`simia runs pause|resume|concurrency|cancel|stop`, asked of a run that goes on."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import pytest
from simia_store import (
    CommandRecord,
    CommandStatus,
    Reader,
    StoreError,
    TrajectoryStatus,
    TurnRecord,
)
from typer.testing import CliRunner, Result

from simia_async.cli.main import app
from simia_async.config import RolloutConfig
from simia_async.config.resolve import configure, keywords_layer
from simia_async.errors import RunStopped
from simia_async.runs.rollout import run_rollouts
from simia_async.testing import Faults, ScriptedServer
from tests.rollout_servers import until


async def simia(*arguments: object) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(map(str, arguments)))


def turns(path: Path) -> int:
    with suppress(StoreError), Reader(path) as reader:
        return sum(1 for _ in reader.all(TurnRecord))
    return 0  # The run has not begun to write.


def numbers(path: Path, status: TrajectoryStatus) -> list[int]:
    with Reader(path) as reader:
        return [each.id for each in reader.trajectories() if each.status == status]


def answer_to(path: Path, name: str) -> CommandRecord:
    """What became of the last command of that name."""
    with Reader(path) as reader:
        return [command for command in reader.commands() if command.name == name][-1]


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
        doomed = numbers(path, TrajectoryStatus.RUNNING)[-1]
        assert (await simia("runs", "cancel", path, doomed)).exit_code == 0
        assert (await simia("runs", "concurrency", path, 1)).exit_code == 0
        for asked, why in (
            (("stop", path, "--after-step"), "'stop_after_step': it takes no training steps"),
            (("checkpoint", path), "'checkpoint': it trains nothing"),
            (("rejudge", path, 77777), "77777 (there is none)"),
        ):
            refused = await simia("runs", *asked)
            assert refused.exit_code == 2
            assert why in refused.stderr
        assert (await simia("runs", "resume", path)).exit_code == 0
        await until(lambda: turns(path) > held)

        assert "the run ended: stopped" in (await simia("runs", "stop", path)).stdout
        with pytest.raises(RunStopped):
            await run
    with Reader(path) as reader:
        cancelled = reader.trajectory(doomed)
        assert cancelled is not None
        assert (cancelled.status, cancelled.stop_reason) == (TrajectoryStatus.UNSCORED, "cancelled")
    late = await simia("runs", "pause", path)
    assert late.exit_code == 2
    assert "nobody owns this run (stopped), so nobody takes up `pause`" in late.stderr


async def test_a_live_run_judges_again_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    rubric = tmp_path / "rubric.toml"
    rubric.write_text('combine = "judge"\n')
    async with ScriptedServer(latency=0.02) as server:
        place = {"base_url": server.base_url, "api_key_env": ""}
        settings = {
            "simulator": {**place, "model": "world"},
            "policy": {**place, "model": "scripted-agent"},
            "rubric": str(rubric),
            "tasks": 500,
            "concurrency": 16,
            "group_size": 2,
        }
        config = configure(RolloutConfig, keywords_layer(RolloutConfig, settings))
        run = asyncio.create_task(run_rollouts(config, path, report=print))
        await until(lambda: turns(path) and len(numbers(path, TrajectoryStatus.SCORED)) >= 3)
        await simia("runs", "pause", path)
        # Those whose last call was in flight end; of so many, some are between two turns.
        await asyncio.sleep(1)
        asked = numbers(path, TrajectoryStatus.SCORED)[:3]
        [under_way, *_] = numbers(path, TrajectoryStatus.RUNNING)
        before = rewards(path)

        said = await simia("runs", "rejudge", path, *asked, under_way)
        assert said.exit_code == 0, said.output
        # What will be done, how far it is, or what came of it: whatever stands there when it looks.
        assert re.search(r"3 rollouts are|of 3 judged|judged 3 again", said.stdout)
        assert "scoring 2" in said.stdout
        await until(lambda: answer_to(path, "rejudge").status == CommandStatus.DONE)
        assert "judged 3 again as scoring 2: mean reward" in answer_to(path, "rejudge").answer
        with Reader(path) as reader:
            judged = list(reader.judgements(scoring_id=2))
            scoring = reader.scorings()[-1]
            own = reader.scorings()[0]
        assert sorted(each.trajectory_id for each in judged) == asked
        assert (scoring.rubric, scoring.judge) == (own.rubric, own.judge)
        # What others learn from is what it was.
        now = rewards(path)
        assert {number: now[number] for number in before} == before

        server.faults = Faults(hang=1.0)
        await simia("runs", "rejudge", path, *asked)
        await simia("runs", "stop", path)
        with pytest.raises(RunStopped):
            await run
    cut = answer_to(path, "rejudge")
    assert cut.status == CommandStatus.REFUSED
    assert "the run ended: stopped; so far: 3 rollouts are judged again as scoring 3" in cut.answer


def rewards(path: Path) -> dict[int, float | None]:
    with Reader(path) as reader:
        return {each.id: each.reward for each in reader.trajectories() if each.finished_at}
