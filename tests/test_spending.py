"""Budgets: what may begin, what is counted, where a run stops, and what it says of it."""

import json
import os
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import (
    CallRecord,
    Reader,
    RunStatus,
    TrajectoryRecord,
    TrajectoryStatus,
    open_store,
)
from simia_store.checks import check

import simia_async
from simia_async.clients import Spending
from simia_async.clients.spending import Amount, Earlier
from simia_async.config import Budget, Endpoint, GenerateConfig, TasksConfig
from simia_async.errors import ConfigError
from simia_async.runs.generate import run_generate
from simia_async.runs.spending import run_within
from simia_async.runs.tasks import run_tasks
from simia_async.testing import ScriptedServer

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]


def call(tokens: int, *, usd: float | None = None, status: str = "ok") -> CallRecord:
    return CallRecord(
        None, "author", "http://x", "m", 1, status, 0.1, tokens_in=tokens, cost_usd=usd
    )


COSTS = st.lists(st.integers(1, 100), min_size=1, max_size=60)


@given(COSTS, st.integers(1, 2000), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_no_unit_begins_without_room_for_one_half_as_dear_again_as_the_dearest(costs, limit, rng):
    spending = Spending(Budget(max_tokens=limit))
    under_way, ended = [], []
    todo = list(costs)
    while todo or under_way:
        if todo and spending.allows_another() and rng.random() < 0.7:
            if ended:
                reserved = (len(under_way) + 1) * 1.5 * max(ended)
                assert sum(ended) + reserved <= limit
            else:
                assert len(under_way) < 8
            under_way.append((spending.begin(), todo.pop()))
        elif under_way:
            unit, cost = under_way.pop(rng.randrange(len(under_way)))
            with unit:
                spending.charge(call(cost))
            ended.append(cost)
        elif not spending.allows_another():
            break
    statistics = spending.statistics()
    assert statistics.spent_tokens == sum(ended)
    if statistics.spent_tokens > limit:
        # Only the first ones, begun blind, and units much dearer than all before go beyond.
        assert statistics.spent_tokens - limit <= 8 * max(ended)


@given(st.integers(1, 100), st.integers(1, 3000))
def test_units_that_all_cost_the_same_never_exceed_a_limit_that_fits_the_first_ones(cost, limit):
    spending = Spending(Budget(max_tokens=limit + 8 * cost))
    while spending.allows_another():
        with spending.begin():
            spending.charge(call(cost))
    spent = spending.statistics().spent_tokens
    assert limit + 8 * cost - 1.5 * cost < spent <= limit + 8 * cost


def test_only_eight_units_begin_before_one_has_shown_what_a_unit_costs() -> None:
    spending = Spending(Budget(max_cost_usd=1.0))
    units = [spending.begin() for _ in range(8)]
    assert not spending.allows_another()
    with units[0]:
        spending.charge(call(0, usd=0.0, status="RateLimited"))
    # What failed says nothing of what a unit costs.
    spending.begin()
    assert not spending.allows_another()
    with units[1]:
        spending.charge(call(10, usd=0.01))
    assert spending.allows_another()


def test_a_unit_that_has_spent_the_limit_by_itself_lets_no_other_begin() -> None:
    spending = Spending(Budget(max_tokens=10))
    with spending.begin():
        spending.charge(call(11))
        assert not spending.allows_another()
    assert not spending.allows_another()


def test_without_a_limit_everything_may_begin_and_is_counted() -> None:
    spending = Spending(Budget())
    with spending.begin():
        spending.charge(call(0))
        spending.charge(call(5, usd=0.5))
    assert spending.allows_another()
    assert spending.statistics().spent_usd == 0.5
    assert spending.statistics().max_cost_usd is None


def test_an_endpoint_that_tells_no_usage_cannot_be_used_with_a_budget() -> None:
    spending = Spending(Budget(max_tokens=10))
    with pytest.raises(ConfigError, match="does not say how many tokens"), spending.begin():
        spending.charge(call(0))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(0, 20))
def test_the_projection_is_the_mean_of_what_has_ended(costs, left) -> None:
    spending = Spending(Budget())
    assert spending.statistics(left).projected_tokens is None
    for cost in costs:
        with spending.begin():
            spending.charge(call(cost, usd=cost / 100))
    mean = sum(costs) / len(costs)
    projected = spending.statistics(left)
    assert projected.projected_tokens == pytest.approx(sum(costs) + left * mean)
    assert projected.projected_usd == pytest.approx(projected.projected_tokens / 100)


def test_calls_that_were_lost_count_as_the_dearest_unit_even_one_that_comes_later() -> None:
    spending = Spending(Budget(max_cost_usd=1.0))
    spending.charge_earlier(Earlier(lost=3))
    assert spending.statistics().spent_usd is None
    with spending.begin():
        spending.charge(call(10, usd=0.2))
    assert spending.statistics().spent_usd == pytest.approx(0.8)
    assert spending.statistics().lost_usd == pytest.approx(0.6)
    with spending.begin():
        spending.charge(call(10, usd=0.1))
    assert spending.statistics().spent_usd == pytest.approx(0.9)
    assert not spending.allows_another()


def test_what_earlier_sessions_spent_counts_and_shows_what_a_unit_costs() -> None:
    spending = Spending(Budget(max_tokens=100))
    earlier = Earlier(Amount(0.9, 90), priced=True, units=9, dearest=Amount(0.11, 11))
    spending.charge_earlier(earlier)
    assert not spending.allows_another()
    assert spending.statistics(1).projected_usd == pytest.approx(1.0)


async def test_concurrent_units_are_each_charged_their_own() -> None:
    spending = Spending(Budget(max_tokens=1000))
    dearest: list[float] = []

    async def work(tokens: int) -> None:
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                await anyio.lowlevel.checkpoint()
                spending.charge(call(tokens))

            group.start_soon(ask)
            group.start_soon(ask)
        dearest.append(tokens)

    begun = await run_within(spending, [lambda t=t: work(t) for t in (10, 20, 30, 40)])
    assert begun == 4
    assert spending.statistics().spent_tokens == 200
    # 800 are left, and a unit may cost 1.5 times 80.
    for _ in range(6):
        assert spending.allows_another()
        spending.begin()
    assert not spending.allows_another()


async def test_work_that_does_not_fit_waits_for_what_is_under_way_and_then_is_not_begun() -> None:
    spending = Spending(Budget(max_tokens=45))
    spending.charge_earlier(Earlier(dearest=Amount(0, 10)))
    most = 0

    async def work() -> None:
        nonlocal most
        most = max(most, spending.active)
        await anyio.sleep(0.001)
        spending.charge(call(10))

    assert await run_within(spending, [work] * 9) == 4
    assert most == 3


def priced(server: ScriptedServer, **settings) -> Endpoint:
    return Endpoint(
        base_url=server.base_url,
        model="world",
        api_key_env="",
        usd_per_million_in=1.0,
        usd_per_million_out=5.0,
        **settings,
    )


async def test_generate_stops_before_the_limit_and_goes_on_with_a_higher_one(
    tmp_path: Path,
) -> None:
    run = tmp_path / "g.db"
    async with ScriptedServer(latency="lognormal:0.01,0.5") as server:
        simulator = priced(server)
        whole = await run_generate(
            GenerateConfig(n=40, simulator=simulator), tmp_path / "whole.db", report=print
        )
        limit = 0.6 * whole.spending.spent_usd
        config = GenerateConfig(n=40, simulator=simulator, budget=Budget(max_cost_usd=limit))
        first = await run_generate(config, run, report=print)
        assert first.budget_spent
        assert 0 < first.kept < 40
        assert limit * 0.9 < first.spending.spent_usd <= limit
        assert first.spending.projected_usd == pytest.approx(whole.spending.spent_usd, rel=0.2)
        again = await run_generate(config, run, report=print)
        assert again.simulated == first.simulated, "the budget of the run is not that of a session"
        more = GenerateConfig(
            n=40, simulator=simulator, budget=Budget(max_tokens=10_000_000, max_cost_usd=1.0)
        )
        last = await run_generate(more, run, report=print)
        assert (last.kept, last.budget_spent) == (40, False)
        assert last.spending.spent_usd == pytest.approx(whole.spending.spent_usd, rel=0.01)
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.DONE
        recorded = sum(count.cost_usd for count in reader.usage())
        assert recorded == pytest.approx(last.spending.spent_usd)
    assert check(run).problems == []


async def test_the_pre_filter_is_part_of_the_budget(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    async with ScriptedServer() as server:
        # Enough for about half of the 31 reviews.
        config = GenerateConfig(n=40, simulator=priced(server), budget=Budget(max_cost_usd=0.012))
        result = await run_generate(config, run, report=print)
        assert 0.006 < result.spending.spent_usd <= 0.012
        assert (result.budget_spent, result.kept) == (True, 0)
        assert 0 < result.seeds_used < 31
        more = msgspec.structs.replace(config, budget=Budget(max_cost_usd=1.0))
        result = await run_generate(more, run, report=print)
        assert (result.budget_spent, result.kept, result.seeds_used) == (False, 40, 31)
        with Reader(run) as reader:
            roles = [call.role for call in reader.calls()]
        assert roles.count("reviewer") == 31


async def test_a_budget_that_is_spent_in_the_pre_filter_is_not_exceeded_by_going_on(
    tmp_path: Path,
) -> None:
    config = GenerateConfig(n=4, budget=Budget(max_tokens=9_000))
    spent = []
    for _ in range(3):
        result = await run_generate(config, tmp_path / "g.db", report=print)
        spent.append(result.spending.spent_tokens)
        assert result.budget_spent
    assert 6_000 < spent[0] == spent[1] == spent[2] <= 9_000


async def test_tasks_that_go_on_know_what_a_task_cost(tmp_path: Path) -> None:
    config = TasksConfig(prefilter=False, budget=Budget(max_tokens=9_000))
    spent = []
    for _ in range(3):
        result = await run_tasks(config, tmp_path / "t.db", tmp_path / "t.jsonl", report=print)
        spent.append(result.spending.spent_tokens)
        assert result.budget_spent
    assert 4_000 < spent[0] == spent[1] == spent[2] <= 9_000


async def simia(*arguments: str) -> tuple[int, str, str]:
    done = await anyio.run_process([*SIMIA, *arguments], check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_the_command_line_says_that_the_budget_is_spent_and_what_things_cost(
    tmp_path: Path,
) -> None:
    run = tmp_path / "g.db"
    async with ScriptedServer() as server:
        endpoint = ["--base-url", server.base_url, "--simulator-model", "world"]
        endpoint += ["--api-key-env", "", "--usd-in", "1", "--usd-out", "5", "--run", str(run)]
        endpoint += ["--no-prefilter"]
        code, _, error = await simia("generate", *endpoint, "-n", "30", "--max-cost-usd", "0.02")
        assert code == 1, error
        with Reader(run) as reader:
            kept = sum(1 for _ in reader.trajectories(status=TrajectoryStatus.KEPT))
            usd = sum(count.cost_usd for count in reader.usage())
        assert 0.015 < usd <= 0.02
        code, told, _ = await simia("report", str(run))
        assert (code, f"${usd:.4f}; ${usd / kept:.6f} a kept one" in told) == (0, True), told
        code, shown, _ = await simia("runs", "show", str(run), "--json")
        cost = json.loads(shown)["cost"]
        assert cost["usd_per_kept"] == pytest.approx(usd / kept)
        assert cost["projected_usd"] == pytest.approx(usd / kept * 30)
        assert f"projected  ${cost['projected_usd']:.4f} until it is done" in told
        code, told, _ = await simia("generate", *endpoint, "-n", "30", "--max-total-tokens", "9000")
        assert code == 1
        assert f"{kept} of 30 wanted: the budget is spent" in told


async def test_a_budget_in_dollars_for_a_model_without_a_price_is_refused_in_one_sentence(
    tmp_path: Path,
) -> None:
    run = tmp_path / "g.db"
    async with ScriptedServer() as server:
        endpoint = Endpoint(base_url=server.base_url, model="world", api_key_env="")
        config = GenerateConfig(n=4, simulator=endpoint, budget=Budget(max_cost_usd=1.0))
        with pytest.raises(ConfigError, match=r"price of 'world'.*--usd-in and --usd-out"):
            await run_generate(config, run, report=print)
        assert not server.log.served()
    assert os.listdir(tmp_path) == []


async def test_the_embedded_simulator_is_free(tmp_path: Path) -> None:
    result = await simia_async.generate(
        run=tmp_path / "g.db", n=8, budget=Budget(max_cost_usd=0.000001)
    )
    assert (result.kept, result.spending.spent_usd) == (8, None)
    assert result.spending.spent_tokens > 0


async def test_a_run_whose_last_calls_were_cut_off_may_end_without_asking_them_again(
    tmp_path: Path,
) -> None:
    """Fewer are wanted now, or the budget is spent: nothing is left as if it went on."""
    run = tmp_path / "g.db"
    async with ScriptedServer() as server:
        config = GenerateConfig(n=4, simulator=priced(server))
        await run_generate(config, run, report=print)
        async with open_store(run) as store:
            await store.append(
                TrajectoryRecord(9, "mini-retail", "seed/9", TrajectoryStatus.RUNNING)
            )
        told: list[str] = []
        result = await run_generate(config, run, report=told.append)
    assert result.kept == 4
    assert "at most 1 calls were in flight" in told[0]
    assert result.spending.lost_calls == 1
    assert check(run).problems == []


async def test_an_endpoint_that_tells_no_usage_ends_a_run_with_a_budget_in_one_sentence(
    tmp_path: Path,
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": "Hi"}}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        endpoint = Endpoint(base_url=str(server.make_url("/v1")), model="world", api_key_env="")
        config = GenerateConfig(n=4, simulator=endpoint, budget=Budget(max_tokens=1000))
        with pytest.raises(ConfigError, match="does not say how many tokens"):
            await run_generate(config, tmp_path / "g.db", report=print)
    with Reader(tmp_path / "g.db") as reader:
        assert {call.status for call in reader.calls()} >= {"ok"}, "what was paid is written down"
        assert "does not say" in (reader.run().reason or "")
