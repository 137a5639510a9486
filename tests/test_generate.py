"""Generation, end to end, through the real simulator child."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from simia_store import Reader, RunStatus, TrajectoryStatus

import simia_async
from simia_async.config import Budget, Endpoint, GenerateConfig
from simia_async.errors import EndpointError, EndpointRefused, StoreError, UsageError
from simia_async.runs.generate import run_generate


async def test_everything_defaulted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = await simia_async.generate()
    assert result.kept == 64
    assert result.run.parent == Path("runs")
    with Reader(result.run) as reader:
        assert reader.run().status == RunStatus.DONE
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        assert len(kept) == 64
        assert all(reader.turns(trajectory.id) for trajectory in kept)
        assert Counter(call.role for call in reader.calls()) == {
            "author": result.simulated,
            "reviewer": result.seeds_read,
        }


async def test_the_real_conversations_are_the_input(tmp_path: Path, airline_seeds: Path) -> None:
    result = await simia_async.generate(
        run=tmp_path / "air.db", environment="airline", seeds=str(airline_seeds), n=200
    )
    assert (result.seeds_read, result.seeds_used) == (100, 29)
    # 69 failed their task; two succeeded with a card that the agent had made up.
    assert dict(result.seeds_rejected) == {"reward": 69, "unsound": 2}
    assert result.kept == 200
    assert result.simulated - result.kept == result.rejected.total()


async def test_failed_conversations_are_seeds_only_on_request(
    tmp_path: Path, airline_seeds: Path
) -> None:
    result = await simia_async.generate(
        run=tmp_path / "air.db",
        environment="airline",
        seeds=str(airline_seeds),
        n=10,
        keep_failed=True,
        prefilter=False,
    )
    assert result.seeds_used == 100


async def test_an_undeclared_tool_is_told_before_anything_is_written(
    tmp_path: Path, airline_seeds: Path
) -> None:
    environment = airline_seeds.parents[1] / "tau2" / "airline"
    run = tmp_path / "air.db"
    settings = {"environment": str(environment), "seeds": str(airline_seeds), "n": 5}
    with pytest.raises(UsageError, match=r"`think` \(12 calls\).*--declare-tool think"):
        await simia_async.generate(run=run, **settings)
    assert not run.exists()
    result = await simia_async.generate(run=run, declare_tools=("think",), **settings)
    assert result.kept == 5


async def test_the_same_settings_give_the_same_conversations(tmp_path: Path) -> None:
    told = []
    for name in ("a", "b"):
        result = await simia_async.generate(run=tmp_path / f"{name}.db", n=10, seed=3)
        with Reader(result.run) as reader:
            told.append(
                {
                    t.task_id: [turn.message for turn in reader.turns(t.id)]
                    for t in reader.trajectories()
                }
            )
    assert told[0] == told[1]


async def test_a_run_of_other_settings_is_not_overwritten(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    await simia_async.generate(run=run, n=4)
    with pytest.raises(UsageError, match="with other settings"):
        await simia_async.generate(run=run, n=4, seed=1)
    again = await simia_async.generate(run=run, n=4)
    assert again.kept == again.simulated == 4
    more = await simia_async.generate(run=run, n=6)
    assert more.kept == more.simulated == 6


def ended(reader: Reader) -> list[int]:
    return [t.id for t in reader.trajectories() if t.status != TrajectoryStatus.RUNNING]


def test_a_killed_run_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    command = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
    command += ["generate", "-n", "1500", "--no-prefilter", "--run", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before: list[int] = []
    while len(before) < 50:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
        # Until the tables are there, there is nothing to read.
        with contextlib.suppress(StoreError), Reader(run) as reader:
            before = ended(reader)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.RUNNING
        before = ended(reader)
        calls = sum(1 for _ in reader.calls())
        in_flight = sum(1 for _ in reader.trajectories(status=TrajectoryStatus.RUNNING))
    assert len(before) == calls < 1500
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"at most {in_flight} calls were in flight and are made again" in again.stderr
    with Reader(run) as reader:
        after = [trajectory.id for trajectory in reader.trajectories()]
        assert set(before) <= set(after)
        kept = sum(1 for _ in reader.trajectories(status=TrajectoryStatus.KEPT))
        assert kept == 1500
        # Every trajectory was answered once; of the calls in flight at the kill nobody knows.
        calls = Counter(call.status for call in reader.calls())
        assert calls == {"ok": len(after), "CutOff": in_flight}


def simulator_at(url: str) -> Endpoint:
    return Endpoint(base_url=url, model="gpt-5")


async def generate_with(handler, run: Path, **limits):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    server = TestServer(app)
    await server.start_server()
    try:
        url = f"http://127.0.0.1:{server.port}/v1"
        simulator = Endpoint(base_url=url, model="gpt-5", **limits)
        config = GenerateConfig(n=8, prefilter=False, simulator=simulator)
        return await run_generate(config, run, report=print)
    finally:
        await server.close()


async def test_an_endpoint_that_refuses_ends_the_run(tmp_path: Path) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no such model"}}, status=404)

    run = tmp_path / "g.db"
    with pytest.raises(EndpointRefused, match="no such model"):
        await generate_with(refuse, run)
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.FAILED
        assert "no such model" in (reader.run().reason or "")
        assert {call.status for call in reader.calls()} == {"EndpointRefused"}


async def test_useless_answers_are_rejected_with_their_reason(tmp_path: Path) -> None:
    async def prose(_: web.Request) -> web.Response:
        message = {"role": "assistant", "content": "Once upon a time."}
        return web.json_response({"choices": [{"message": message}]})

    result = await generate_with(prose, tmp_path / "g.db")
    assert (result.kept, result.simulated) == (0, 12)
    assert result.rejected == {"simulator": 12}
    with Reader(tmp_path / "g.db") as reader:
        for trajectory in reader.trajectories():
            assert trajectory.boundary == "simulator"
            assert "Once upon a time" in (trajectory.reason or "")


async def test_a_host_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    config = GenerateConfig(simulator=simulator_at("http://127.0.0.1:9/v1"))
    async with asyncio.timeout(10):
        with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9"):
            await run_generate(config, tmp_path / "g.db", report=print)


def author_answer(content: str) -> web.Response:
    draft = {
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": "Gladly."},
        ]
    }
    message = {"role": "assistant", "content": json.dumps(draft)}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    choice = {"message": message, "finish_reason": "stop"}
    return web.json_response({"choices": [choice], "usage": usage})


async def test_an_answer_that_was_cut_off_is_not_kept(tmp_path: Path) -> None:
    async def cut(_: web.Request) -> web.Response:
        whole = (
            '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I c'
        )
        choice = {"message": {"role": "assistant", "content": whole}, "finish_reason": "length"}
        return web.json_response({"choices": [choice]})

    result = await generate_with(cut, tmp_path / "g.db")
    assert result.kept == 0
    assert result.rejected.keys() == {"simulator"}


async def test_an_outage_ends_the_run_and_uses_no_attempts_up(tmp_path: Path) -> None:
    asked = 0
    paid_until = 3

    async def until_the_quota_is_gone(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked > paid_until:
            return web.json_response({"error": {"message": "quota"}}, status=402)
        return author_answer(f"Question {asked}")

    run = tmp_path / "g.db"
    with pytest.raises(EndpointRefused, match="quota"):
        await generate_with(until_the_quota_is_gone, run, max_in_flight=1)
    paid_until = 1000
    result = await generate_with(until_the_quota_is_gone, run)
    assert (result.kept, result.rejected.total()) == (8, 0)
    with Reader(run) as reader:
        assert reader.run().finished_at is not None
        assert reader.run().reason is None


async def test_what_the_simulator_failed_at_is_asked_again(tmp_path: Path) -> None:
    healthy = False
    asked = 0

    async def moody(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if not healthy:
            return web.json_response({"choices": [{"message": {"role": "assistant"}}]})
        return author_answer(f"Question {asked}")

    run = tmp_path / "g.db"
    first = await generate_with(moody, run)
    assert first.kept == 0
    healthy = True
    second = await generate_with(moody, run)
    assert second.kept == 8
    with Reader(run) as reader:
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        assert all(len(reader.turns(trajectory.id)) == 2 for trajectory in kept)


async def cut_off_run(run: Path, wanted: int) -> None:
    """A run in which 1 was in flight, and 2 to 5 had passed the rules, when it was killed."""
    waiting = asyncio.Event()

    async def hang_at_the_first(request: web.Request) -> web.Response:
        number = (await request.json())["seed"]
        if number == 1:
            await waiting.wait()
        return author_answer(f"Question {number}")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", hang_at_the_first)
    async with TestServer(app) as server:
        simulator = simulator_at(str(server.make_url("/v1")))
        config = GenerateConfig(n=wanted, prefilter=False, simulator=simulator)
        running = asyncio.create_task(run_generate(config, run, report=print))
        passed = 0
        while passed < 4:
            await asyncio.sleep(0.05)
            with contextlib.suppress(StoreError), Reader(run) as reader:
                passed = sum(o.count for o in reader.outcomes() if o.status == "passed")
        running.cancel()
        await asyncio.wait([running])
        waiting.set()


@pytest.mark.parametrize("limits", [{"n": 5, "budget": Budget(max_tokens=1)}, {"n": 3}])
async def test_what_has_passed_is_settled_though_nothing_more_may_begin(
    tmp_path: Path, limits: dict
) -> None:
    run = tmp_path / "g.db"
    await cut_off_run(run, wanted=5)
    with Reader(run) as reader:
        assert not any(o.status == "kept" for o in reader.outcomes())

    async def answer(request: web.Request) -> web.Response:
        return author_answer(f"Question {(await request.json())['seed']}")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        simulator = simulator_at(str(server.make_url("/v1")))
        config = GenerateConfig(prefilter=False, simulator=simulator, **limits)
        result = await run_generate(config, run, report=print)
    assert result.kept == 4
    with Reader(run) as reader:
        assert {o.status: o.count for o in reader.outcomes() if o.status == "passed"} == {}


async def test_a_slow_reader_of_a_stream_slows_the_run_down(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    stream = simia_async.generate_stream(run=run, n=600, prefilter=False)
    async with contextlib.aclosing(stream) as kept:
        first = await anext(kept)
        await asyncio.sleep(1.0)
        with Reader(run) as reader:
            ahead = sum(outcome.count for outcome in reader.outcomes())
        assert ahead < 400
        numbers = [first.id, *[trajectory.id async for trajectory in kept]]
    assert numbers == sorted(numbers)
    assert len(numbers) == 600


async def test_each_trajectory_is_written_once_as_running_and_once_as_it_ended(
    tmp_path: Path,
) -> None:
    result = await simia_async.generate(run=tmp_path / "g.db", n=20, prefilter=False)
    with Reader(result.run) as reader:
        events = [e for e in reader.events_after(0, 10_000) if e.kind == "trajectories"]
    written = sum(event.last - event.first + 1 for event in events)
    # Some come out of turn and are written as passed first.
    assert 40 <= written < 60
