"""Generation against an endpoint that fails in every way at once, and through an outage."""

from collections import Counter
from pathlib import Path

import anyio
import pytest
from simia_store import Reader, RunStatus, TrajectoryStatus, UsageCount
from simia_store.checks import check

from simia_async.config import Endpoint, GenerateConfig
from simia_async.errors import RunStopped
from simia_async.runs.generate import GenerateProgress, GenerateResult, run_generate
from simia_async.testing import Faults, ScriptedServer

EVERYTHING = Faults(
    rate_limit=0.20, server_error=0.05, malformed=0.05, hang=0.02, retry_after_s=0.05
)


def simulator_at(server: ScriptedServer, **settings) -> Endpoint:
    return Endpoint(base_url=server.base_url, model="world", api_key_env="", **settings)


def check_ledger(reader: Reader, server: ScriptedServer) -> None:
    """The record's calls are the server's requests, each once, by how they ended."""
    asked = [record for record in server.log if record.path.endswith("/chat/completions")]
    statuses = Counter(record.status for record in asked)
    failed_statuses = sum(statuses[status] for status in (500, 503, None))
    calls = Counter(call.status for call in reader.calls())
    assert calls["ok"] == statuses[200]
    assert calls["RateLimited"] == statuses[429]
    assert calls["EndpointUnavailable"] == failed_statuses
    assert calls.total() == len(asked)


def check_usage(reader: Reader) -> None:
    sums: dict[tuple[str, str], list[int]] = {}
    for call in reader.calls():
        total = sums.setdefault((call.role, call.status), [0, 0, 0])
        for at, amount in enumerate((1, call.tokens_in, call.tokens_out)):
            total[at] += amount
    kept: list[UsageCount] = reader.usage()
    assert {(u.role, u.status): [u.calls, u.tokens_in, u.tokens_out] for u in kept} == sums


async def survive(run: Path, wanted: int, timeout_s: float) -> GenerateResult:
    """Generate with every fault at once, and check what became of every call."""
    async with ScriptedServer(
        latency="lognormal:0.02,0.5", faults=EVERYTHING, seed=1, log_bodies=False
    ) as server:
        simulator = simulator_at(server, timeout_s=timeout_s, max_backoff_s=0.2)
        config = GenerateConfig(n=wanted, simulator=simulator)
        result = await run_generate(config, run, report=print)
        assert {record.fault for record in server.log} == {
            None,
            "rate_limit",
            "server_error",
            "malformed",
            "hang",
        }
        with Reader(run) as reader:
            assert reader.run().status == RunStatus.DONE
            check_ledger(reader, server)
            check_usage(reader)
            trajectories = list(reader.trajectories())
    assert len(trajectories) == result.kept + result.rejected.total()
    for trajectory in trajectories:
        if trajectory.status == TrajectoryStatus.REJECTED:
            assert trajectory.boundary in ("simulator", "rule")
            assert trajectory.reason
        else:
            assert trajectory.status == TrajectoryStatus.KEPT
    findings = check(run)
    assert (findings.problems, findings.notes) == ([], [])
    return result


async def test_every_call_ends_in_a_result_or_in_a_stored_failure(tmp_path: Path) -> None:
    result = await survive(tmp_path / "g.db", 200, timeout_s=1.0)
    assert result.kept == 200


async def test_a_run_goes_on_by_itself_after_an_outage_and_rejects_nothing_for_it(
    tmp_path: Path,
) -> None:
    server = ScriptedServer(latency="fixed:0.05")
    down = anyio.Event()

    def watch(progress: GenerateProgress) -> None:
        if progress.kept >= 20:
            down.set()

    async def outage() -> None:
        await down.wait()
        server.down = True
        await anyio.sleep(2)
        server.down = False

    async with server, anyio.create_task_group() as group:
        group.start_soon(outage)
        simulator = simulator_at(server, max_in_flight=8, max_backoff_s=0.5, retry_budget_s=60)
        config = GenerateConfig(n=60, simulator=simulator)
        result = await run_generate(config, tmp_path / "g.db", report=print, on_progress=watch)
        assert server.log.with_status(503), "the outage came too late"
    assert (result.kept, result.rejected) == (60, {})
    with Reader(tmp_path / "g.db") as reader:
        assert reader.run().status == RunStatus.DONE
        check_ledger(reader, server)


async def test_a_run_that_is_stopped_has_every_attempt_in_its_ledger(tmp_path: Path) -> None:
    """Those it waited for too: they may have been paid, and are counted so when it goes on."""
    run = tmp_path / "g.db"
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 5.0}
    async with ScriptedServer(latency="uniform:0.05,0.3") as server:
        config = GenerateConfig(n=60, simulator=simulator_at(server, max_in_flight=16, **prices))

        def stop(progress: GenerateProgress) -> None:
            if progress.kept >= 20:  # several may be settled at once
                raise RunStopped("enough for today")

        with pytest.raises(RunStopped):
            await run_generate(config, run, report=print, on_progress=stop)
        with Reader(run) as reader:
            calls = Counter(call.status for call in reader.calls())
            asked = sum(record.path.endswith("/chat/completions") for record in server.log)
            assert calls.keys() == {"ok", "CancelledError"}
            assert calls.total() == asked
            outcomes = Counter({o.cause: o.count for o in reader.outcomes()})
            assert outcomes["cut off"] >= calls["CancelledError"]
        told: list[str] = []
        result = await run_generate(config, run, report=told.append)
    assert f"at most {outcomes['cut off']} calls were in flight and are made again, $" in told[0]
    assert (result.kept, result.spending.lost_calls) == (60, calls["CancelledError"])
    assert check(run).problems == []


@pytest.mark.soak
async def test_thousands_of_calls_all_end_in_a_result_or_in_a_stored_failure(
    tmp_path: Path,
) -> None:
    await survive(tmp_path / "g.db", 2000, timeout_s=3.0)
