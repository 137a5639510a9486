"""Runs with workers: the same as without, whatever becomes of the workers."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import anyio
import pytest
from simia_store import (
    CANCEL,
    PAUSE,
    RESUME,
    CallRecord,
    FactRecord,
    Reader,
    RunStatus,
    TrajectoryStatus,
)
from simia_store.checks import check

import simia_async
from simia_async.config import Budget, Endpoint, GenerateConfig
from simia_async.config.roles import ToolEndpoint, UserEndpoint
from simia_async.environments import load_environment
from simia_async.errors import ChildFailed, ConfigError, UsageError
from simia_async.runs import staffing
from simia_async.runs.generate import run_generate
from simia_async.runs.rollout import run_rollouts
from simia_async.testing import Quota, ScriptedServer
from simia_async.workers import host, pool
from simia_async.workers.host import OwnersRecord
from tests.killed_rollouts import SIMIA, look, rollout_command
from tests.proc import is_there
from tests.rollout_servers import command
from tests.worker_runs import (
    check_same,
    check_within,
    config_for,
    kept_by,
    pids,
    sent_by,
    until,
    workers_of,
)

CALL = CallRecord(7, "policy", "", "", 1, "ok", 0.0)


async def test_the_same_is_kept_whoever_writes(tmp_path: Path, scripted_simulator: str) -> None:
    simulator = Endpoint(base_url=scripted_simulator, model="world", api_key_env="")
    kept = []
    for workers in (0, 2):
        run = tmp_path / f"{workers}.db"
        config = GenerateConfig(n=24, prefilter=False, simulator=simulator, workers=workers)
        result = await run_generate(config, run, report=pytest.fail)
        assert result.kept == 24
        kept.append(kept_by(run))
    assert kept[0] == kept[1]
    with Reader(run) as reader:
        told = {each.source: each.sample for each in reader.statistics()}
        assert sum(told[f"worker {n}"]["done"] for n in (1, 2)) == result.simulated
        assert all(told[f"worker {n}"]["done"] for n in (1, 2)), "one did all"
        assert told["simulator"]["ok"] == result.simulated


async def test_the_same_is_played_and_facts_are_the_same(tmp_path: Path) -> None:
    async with ScriptedServer(latency=0.005) as server:
        for workers in (0, 2):
            config = config_for(server.base_url, tasks=6, group_size=3, workers=workers)
            run = tmp_path / f"{workers}.db"
            result = await run_rollouts(config, run, report=pytest.fail)
            assert (result.rollouts, result.wanted, result.scored) == (18, 18, 18)
            assert result.spending.spent_tokens > 0
    check_same(tmp_path / "0.db", tmp_path / "2.db")
    assert check(run).problems == []
    with Reader(run) as reader:
        calls = [call.status for call in reader.calls()]
        assert len({(f.group_id, f.call) for f in reader.all(FactRecord)}) == len(
            list(reader.all(FactRecord))
        )
    assert set(calls) == {"ok"}


async def test_what_was_cancelled_is_acknowledged_before_what_comes_after_it() -> None:
    told: list[object] = []
    record = OwnersRecord(told.append)

    async def piece() -> None:
        host._piece.set(7)
        with anyio.move_on_after(0.01):
            await record.append(CALL)
        await record.append(CALL)

    working = asyncio.create_task(piece())
    await until(lambda: len(told) == 2)
    record.committed(7)
    await asyncio.sleep(0)
    assert not working.done()
    record.committed(7)
    await working


async def test_roles_with_one_governor_tell_the_same_of_it(tmp_path: Path) -> None:
    run = tmp_path / "r.db"
    async with ScriptedServer(latency=0.005) as server:
        own = {
            "user_endpoint": UserEndpoint(max_in_flight=8),
            "tool_endpoint": ToolEndpoint(max_in_flight=8),
        }
        config = config_for(server.base_url, tasks=4, group_size=2, workers=2, **own)
        await run_rollouts(config, run, report=pytest.fail)
    with Reader(run) as reader:
        told = {each.source: each.sample for each in reader.statistics()}
        asked = [call.role for call in reader.calls() if call.role in ("user", "tool")]
    assert told["user"] == told["tool"]
    assert told["user"]["ok"] == len(asked)


async def test_a_worker_that_is_killed_changes_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    async with ScriptedServer(latency=0.05) as server:
        config = config_for(server.base_url, tasks=6, group_size=3)
        await run_rollouts(config, whole, report=pytest.fail)
        config = config_for(server.base_url, tasks=6, group_size=3, workers=2)
        playing = asyncio.create_task(run_rollouts(config, killed, report=said.append))
        (first, _) = await pids(2)
        await until(lambda: len(look(killed).turns.get(1, ())) > 1)
        before = look(killed)
        os.kill(first, signal.SIGKILL)
        result = await playing
    assert result.scored == 18
    assert any("SIGKILL" in each and "starting it again (1 of 3)" in each for each in said)
    check_same(whole, killed)
    after = look(killed)
    for number, turns in before.turns.items():
        assert after.turns[number][: len(turns)] == turns, "what was stored has changed"
    lost = sum(call.status == "CutOff" for call in after.calls)
    assert 0 < lost == result.spending.lost_calls <= 18
    asked = sum(each.path.endswith("/completions") for each in server.log)
    ended = sum(call.status == "ok" for call in after.calls) + len(look(whole).calls)
    assert asked - ended <= lost, "a call is missing from the ledger"


async def test_a_plan_is_written_by_another_when_its_worker_dies(tmp_path: Path) -> None:
    runs = {0: tmp_path / "0.db", 2: tmp_path / "2.db"}
    async with ScriptedServer(latency=0.3, log=False) as server:
        simulator = Endpoint(
            base_url=server.base_url, model="world", api_key_env="", max_in_flight=16
        )
        for workers, run in runs.items():
            config = GenerateConfig(
                n=60, prefilter=False, simulator=simulator, workers=workers, similarity=1.0
            )
            writing = asyncio.create_task(run_generate(config, run, report=lambda _: None))
            if workers:
                (_, second) = await pids(2)
                await until(lambda: len(look(runs[2]).trajectories) > 8)
                os.kill(second, signal.SIGKILL)
            result = await writing
            assert result.kept == 60
    assert kept_by(runs[0]) == kept_by(runs[2])
    lost = [call for call in look(runs[2]).calls if call.status == "CutOff"]
    assert len(lost) == result.spending.lost_calls > 0
    assert {call.role for call in lost} == {"author"}


def test_no_worker_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    async def main() -> None:
        run, whole = tmp_path / "k.db", tmp_path / "w.db"
        async with ScriptedServer(latency=0.05, log=False) as server:
            arguments = rollout_command(server, run, "mini-retail", tasks=6, workers=2)
            process = await anyio.open_process(
                arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            await until(lambda: sum(map(len, look(run).turns.values())) > 20)
            workers = workers_of(process.pid)
            assert len(workers) == 2
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await until(lambda: not any(map(is_there, workers)))
            config = config_for(server.base_url, tasks=6)
            await run_rollouts(config, run, report=lambda _: None)
            await run_rollouts(config, whole, report=lambda _: None)
        check_same(run, whole)

    anyio.run(main)


async def test_together_they_keep_to_the_quota(tmp_path: Path) -> None:
    quota, run = Quota(rpm=1800), tmp_path / "q.db"
    async with ScriptedServer(latency=0.05, quota=quota, log=False) as server:
        simulator = Endpoint(
            base_url=server.base_url, model="world", api_key_env="", requests_per_minute=1800
        )
        config = GenerateConfig(n=90, prefilter=False, simulator=simulator, workers=3)
        await run_generate(config, run, report=pytest.fail)
    seen = quota.statistics()
    assert seen.admitted >= 90
    assert seen.refused_for_requests <= 0.05 * seen.admitted
    # A second's worth, and a call that each worker's part is rounded up to.
    check_within(sent_by(run), 1800, 1800 / 60 + 3)


async def test_a_run_with_workers_is_steered(tmp_path: Path) -> None:
    run = tmp_path / "s.db"
    async with ScriptedServer(latency=0.2, log=False) as server:
        config = config_for(server.base_url, tasks=200, group_size=2, concurrency=24, workers=2)
        playing = asyncio.create_task(run_rollouts(config, run, report=pytest.fail))
        await until(lambda: sum(map(len, look(run).turns.values())) > 0)
        assert (await command(run, PAUSE)).answer
        await asyncio.sleep(0.6)
        held = look(run)
        await asyncio.sleep(0.5)
        assert look(run).turns == held.turns
        # Of so many, some are between two turns.
        doomed = held.running()[-1]
        assert (await command(run, CANCEL, trajectory=doomed)).answer
        assert (await command(run, RESUME)).answer == "goes on"
        enough = sum(map(len, held.turns.values())) + 60
        await until(lambda: sum(map(len, look(run).turns.values())) > enough)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
    cancelled = look(run).trajectories[doomed]
    assert (cancelled.status, cancelled.stop_reason) == (TrajectoryStatus.UNSCORED, "cancelled")
    stopped = [call for call in look(run).calls if call.status == "CancelledError"]
    assert stopped, "what was in flight at the end is not in the ledger"
    assert not workers_of(os.getpid())


async def test_a_budget_is_one_for_all(tmp_path: Path) -> None:
    run = tmp_path / "b.db"
    async with ScriptedServer(latency=0.005, log=False) as server:
        config = config_for(
            server.base_url, tasks=60, group_size=2, workers=2, budget=Budget(max_tokens=100_000)
        )
        result = await run_rollouts(config, run, report=pytest.fail)
    assert result.budget_spent
    assert 0 < result.rollouts < 120
    assert 50_000 < result.spending.spent_tokens <= 100_000
    tokens = sum(call.tokens_in + call.tokens_out for call in look(run).calls)
    assert tokens == result.spending.spent_tokens


async def test_what_cannot_begin_is_told_in_one_sentence(
    tmp_path: Path, scripted_simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = Endpoint(base_url=scripted_simulator, model="world", api_key_env="")
    config = GenerateConfig(n=4, prefilter=False, simulator=simulator, workers=2)
    monkeypatch.setattr(staffing, "_MODULE", "simia_async.no_such_module")
    with pytest.raises(ChildFailed, match=r"worker \d process .* exited with 1: .*no_such_module"):
        await run_generate(config, tmp_path / "a.db", report=pytest.fail)
    with Reader(tmp_path / "a.db") as reader:
        assert reader.run().status == RunStatus.FAILED


async def test_a_run_ends_when_no_worker_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "RESTARTS", 0)
    async with ScriptedServer(latency=0.2, log=False) as server:
        config = config_for(server.base_url, tasks=4, group_size=2, workers=1)
        playing = asyncio.create_task(run_rollouts(config, tmp_path / "n.db", report=pytest.fail))
        (only,) = await pids(1)
        await until(lambda: bool(look(tmp_path / "n.db").turns))
        os.kill(only, signal.SIGKILL)
        with pytest.raises(ChildFailed, match=r"no worker is left; the last one: .*SIGKILL"):
            await playing


async def test_what_workers_cannot_do_is_told_before_anything_is_written(tmp_path: Path) -> None:
    run = tmp_path / "x.db"
    simulator = {"max_in_flight": 3}
    with pytest.raises(ConfigError, match=r"--workers: found 3; expected at most 2"):
        await simia_async.generate(run=run, workers=3, simulator=simulator)
    with pytest.raises(ConfigError, match=r"workers: found -1"):
        await simia_async.generate(run=run, workers=-1)
    own = load_environment("mini-retail")
    own = own.with_functions({own.tools[0]["function"]["name"]: lambda state: state})
    with pytest.raises(UsageError, match="answered by Python functions of this process"):
        async for _ in simia_async.rollout(environment=own, run=run, tasks=1, workers=2):
            pass
    assert not run.exists()


def test_the_command_takes_the_flag(tmp_path: Path) -> None:
    arguments = [*SIMIA, "generate", "-n", "4", "--workers", "64", "--run", str(tmp_path / "c.db")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--workers: found 64; expected at most 63" in done.stderr
