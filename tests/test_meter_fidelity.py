"""The meter of fidelity, over HTTP against simulators whose share of wrong answers is known."""

import signal
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import web
from simia_store import Reader, TrajectoryStatus
from typer.testing import CliRunner

from simia_async.builtin.server.protocol import ChatRequest
from simia_async.cli.main import app
from simia_async.config import SCRIPTED, SCRIPTED_AGENT, Endpoint, FidelityConfig, RolloutConfig
from simia_async.config.limits import Budget
from simia_async.config.roles import PolicyEndpoint, ToolEndpoint
from simia_async.errors import EndpointError, UsageError
from simia_async.runs.fidelity import plan_fidelity, run_fidelity
from simia_async.runs.fidelity_result import FidelityResult
from simia_async.runs.rollout import run_rollouts
from simia_async.simulation.prompts import read_sections
from simia_async.testing import Lies, ScriptedServer
from tests.planted_meters import PlantedSimulator, first_lines, holds, plant
from tests.rollout_servers import Playhouse, playhouse
from tests.servers import SIMIA

CONVERSATIONS = 12


@pytest.fixture
def recorded(airline_seeds: Path, tmp_path: Path) -> Path:
    return first_lines(airline_seeds, CONVERSATIONS, tmp_path)


async def measure_at(
    house: Playhouse, recorded: Path, run: Path, **settings: Any
) -> FidelityResult:
    known = {"recorded": str(recorded), "simulator": house.simulator(), **settings}
    plan = plan_fidelity(FidelityConfig(**known), run)
    return await run_fidelity(plan, report=lambda _: None)


@pytest.mark.parametrize("wrong", [0.0, 0.2, 1.0])
async def test_what_was_planted_is_found_over_http(
    recorded: Path, tmp_path: Path, wrong: float
) -> None:
    planted = PlantedSimulator(recorded, wrong)
    lies = sum(map(planted.lies_at, planted.steps))
    async with playhouse() as house:
        plant(house, planted)
        result = await measure_at(house, recorded, tmp_path / "f.db")
    overall = result.report.overall
    assert result.measured == result.wanted == overall.calls == len(planted.steps)
    assert overall.usable.value == 1
    assert overall.exact.value == pytest.approx(1 - lies / len(planted.steps))
    for figure in ("exact", "keys_f1", "leaves_f1", "error_agreement"):
        measured = getattr(overall, figure)
        of = {"error_agreement": "error_agrees"}.get(figure, figure)
        assert holds(measured, planted.expected(of)), (figure, measured)
    changes, looks_up = (result.report.by_kind[kind].calls for kind in ("changes", "looks up"))
    assert changes + looks_up == overall.calls
    assert changes
    assert looks_up
    assert sum(part.calls for part in result.report.by_tool.values()) == overall.calls
    assert {"last of the tool", "empty"} < result.report.baselines.keys()


async def test_the_prompt_is_that_of_rollouts_with_the_recorded_history(
    recorded: Path, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []
    planted = PlantedSimulator(recorded, 1.0)

    def tool(request: ChatRequest) -> str:
        seen.append(read_sections(request.prompt))
        return planted.tool(request)

    async with playhouse() as house:
        house.instead["tool"] = tool
        await measure_at(house, recorded, tmp_path / "f.db", calls=9)
        assert all(sections["state"] is None for sections in seen)
        grounded = tmp_path / "g.db"
        await measure_at(house, recorded, grounded, world="grounded")
    assert all(set(sections) == {"environment", "tools", "state", "history"} for sections in seen)
    # Though every answer was wrong, what came before is what was recorded.
    true = {step.recorded for step in planted.steps}
    told = [m["content"] for each in seen for m in each["history"] if m["role"] == "tool"]
    assert told
    assert set(told) <= true
    assert any("users" in (sections["state"] or {}) for sections in seen[9:])


async def test_each_measurement_is_a_record_and_what_is_there_is_not_asked_again(
    recorded: Path, tmp_path: Path
) -> None:
    run = tmp_path / "f.db"
    planted = PlantedSimulator(recorded, 0.2)
    async with playhouse() as house:
        plant(house, planted)
        await measure_at(house, recorded, run, calls=10)
        assert house.asked["tool"] == 10
        result = await measure_at(house, recorded, run, calls=25)
        assert house.asked["tool"] == 25
    assert result.measured == 25
    with Reader(run) as reader:
        calls = [call for call in reader.calls() if call.role == "tool"]
        trajectories = list(reader.trajectories())
        sources = [turn.source for turn in reader.turns(trajectories[0].id)]
        assert reader.metrics("fidelity/exact")[-1].value == result.report.overall.exact.value
    assert sorted(call.trajectory_id or 0 for call in calls) == [each.id for each in trajectories]
    assert {each.status for each in trajectories} == {TrajectoryStatus.SCORED}
    assert sources == [None, "recorded", "llm"]


async def test_the_scripted_simulator_is_found_out_where_it_lies(tmp_path: Path) -> None:
    """Grounded in the start state of each conversation, it is exact but for the planted share."""
    recorded = tmp_path / "mini.jsonl"
    async with ScriptedServer() as server:
        at = {"base_url": server.base_url, "api_key_env": ""}
        played = tmp_path / "r.db"
        config = RolloutConfig(
            tasks=24,
            group_size=1,
            policy=PolicyEndpoint(model=SCRIPTED_AGENT, **at),
            simulator=Endpoint(model=SCRIPTED, **at),
        )
        await run_rollouts(config, played, report=lambda _: None)
        with Reader(played) as reader:
            tasks = {task.id: task.task for task in reader.tasks()}
            lines = [
                msgspec.json.encode(
                    {
                        "messages": [turn.message for turn in reader.turns(each.id)],
                        "state": tasks[each.task_id]["initial_state"],
                    }
                )
                for each in reader.trajectories()
            ]
        recorded.write_bytes(b"\n".join(lines))
        for wrong in (0.0, 0.5):
            server.lies = Lies(wrong_observations=wrong)
            known = {"environment": "mini-retail", "world": "grounded", "recorded": str(recorded)}
            settings = FidelityConfig(simulator=Endpoint(model=SCRIPTED, **at), **known)
            plan = plan_fidelity(settings, tmp_path / f"{wrong}.db")
            overall = (await run_fidelity(plan, report=lambda _: None)).report.overall
            assert overall.usable.value == 1
            assert overall.calls > 30
            assert holds(overall.exact, 1 - wrong), overall.exact
            assert (overall.exact.value == 1) == (not wrong)


async def test_an_endpoint_that_fails_says_nothing_of_the_simulator(
    recorded: Path, tmp_path: Path
) -> None:
    run = tmp_path / "f.db"
    planted = PlantedSimulator(recorded, 0.0)
    failing = {step.number for step in planted.steps[::20]}

    def tool(request: ChatRequest) -> str | web.Response:
        step = planted.step_of(request)
        return web.Response(status=503) if step.number in failing else planted.tool(request)

    async with playhouse() as house:
        house.instead["tool"] = tool
        first = await measure_at(house, recorded, run)
        assert first.failed == first.wanted - first.measured == len(failing)
        assert first.report.overall.usable.value == 1
        failing.clear()
        second = await measure_at(house, recorded, run)
    assert (second.failed, second.measured) == (0, second.wanted)


async def test_a_run_that_was_killed_goes_on(recorded: Path, tmp_path: Path) -> None:
    run = tmp_path / "f.db"
    planted = PlantedSimulator(recorded, 0.2)
    enough, goes_on = anyio.Event(), anyio.Event()

    async def tool(request: ChatRequest) -> str:
        if house.asked["tool"] > 20 and not goes_on.is_set():
            enough.set()
            await goes_on.wait()
        return planted.tool(request)

    async with playhouse() as house:
        house.instead["tool"] = tool
        command = ["meter", "fidelity", "--recorded", str(recorded), "--run", str(run)]
        command += ["--base-url", house.base_url, "--simulator-model", "world"]
        process = await anyio.open_process(
            [*SIMIA, *command, "--max-in-flight", "8"], stdout=DEVNULL, stderr=DEVNULL
        )
        with anyio.fail_after(60):
            await enough.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        goes_on.set()
        with Reader(run) as reader:
            before = {each.id for each in reader.trajectories() if each.reward is not None}
        asked = house.asked["tool"]
        said: list[str] = []
        settings = {"recorded": str(recorded), "simulator": house.simulator(api_key_env="")}
        plan = plan_fidelity(FidelityConfig(**settings), run)
        result = await run_fidelity(plan, report=said.append)
        asked = house.asked["tool"] - asked
    assert result.measured == result.wanted == len(before) + asked
    assert 0 < len(before) <= 20
    assert "was cut off" in said[0]
    exact = sum(not planted.lies_at(step) for step in planted.steps) / len(planted.steps)
    assert result.report.overall.exact.value == pytest.approx(exact)
    with Reader(run) as reader:
        calls = [call.status for call in reader.calls()]
    assert calls.count("ok") == result.wanted
    assert set(calls) == {"ok", "CutOff"}


async def test_what_cannot_be_used_or_is_refused_is_right_in_nothing(
    recorded: Path, tmp_path: Path
) -> None:
    async with playhouse() as house:
        house.instead["tool"] = lambda _: "no JSON at all"
        result = await measure_at(house, recorded, tmp_path / "f.db", calls=8)
        house.instead["tool"] = lambda _: web.Response(status=422, text="I may not")
        refused = await measure_at(house, recorded, tmp_path / "r.db", calls=8)
    for each in (result, refused):
        overall = each.report.overall
        assert each.measured == 8
        assert overall.usable.value == overall.exact.value == overall.error_agreement.value == 0
        assert overall.consistent.value is None
    [(reason, count)] = result.unusable.items()
    assert count == 8
    assert "said" not in reason


async def test_a_wrong_key_ends_the_run(recorded: Path, tmp_path: Path) -> None:
    async with playhouse() as house:
        house.instead["tool"] = lambda _: web.Response(status=401)
        with pytest.raises(EndpointError):
            await measure_at(house, recorded, tmp_path / "f.db")


async def test_a_budget_ends_the_run_and_more_of_it_goes_on(recorded: Path, tmp_path: Path) -> None:
    run = tmp_path / "f.db"
    async with playhouse() as house:
        plant(house, PlantedSimulator(recorded, 0.0))
        first = await measure_at(house, recorded, run, budget=Budget(max_tokens=100_000))
        assert first.budget_spent
        assert 0 < first.measured < first.wanted
        second = await measure_at(house, recorded, run)
    assert not second.budget_spent
    assert second.measured == second.wanted


async def test_another_file_is_another_run(
    recorded: Path, tmp_path: Path, airline_seeds: Path
) -> None:
    run = tmp_path / "f.db"
    async with playhouse() as house:
        plant(house, PlantedSimulator(recorded, 0.0))
        await measure_at(house, recorded, run, calls=2)
        first_lines(airline_seeds, 3, tmp_path)
        with pytest.raises(UsageError, match="other settings"):
            await measure_at(house, recorded, run, calls=2)


@pytest.mark.soak
def test_all_real_conversations_are_refused_by_the_scripted_simulator(
    airline_seeds: Path, tmp_path: Path
) -> None:
    """It has no rules for `airline`: that is what the meter says, in figures and in words."""
    run = tmp_path / "f.db"
    command = ["meter", "fidelity", "--recorded", str(airline_seeds), "--run", str(run)]
    shown = CliRunner().invoke(app, [*command, "--json"])
    assert shown.exit_code == 0, shown.output
    result = msgspec.json.decode(shown.stdout)
    overall = result["report"]["overall"]
    assert overall["usable"] == {
        "value": 0.0,
        "n": 621,
        "low": 0.0,
        "high": overall["exact"]["high"],
    }
    [(reason, count)] = result["unusable"].items()
    assert count == 621
    assert "no rules for environment 'airline'" in reason
    words = CliRunner().invoke(app, command)
    assert "nothing, all is there" in words.stderr
    assert "621 times" in words.stdout
    assert "no rules for" in words.stdout


def test_the_cost_is_told_and_agreed_to_before_anything_is_asked(
    recorded: Path, tmp_path: Path
) -> None:
    run = tmp_path / "f.db"
    # Nobody listens there: had anything been asked, the command would fail otherwise.
    command = ["meter", "fidelity", "--recorded", str(recorded), "--run", str(run)]
    command += ["--base-url", "http://127.0.0.1:9/v1", "--simulator-model", "m"]
    priced = ["--usd-in", "3", "--usd-out", "15"]
    runner = CliRunner()
    dry = runner.invoke(app, [*command, *priced, "--dry-run"])
    assert dry.exit_code == 0
    assert "$" in dry.stderr
    assert not run.exists()
    unasked = runner.invoke(app, [*command, *priced], input="")
    assert unasked.exit_code == 2
    assert "--yes" in unasked.stderr
    assert not run.exists()
    declined = runner.invoke(app, [*command, *priced], input="n\n")
    assert declined.exit_code == 0
    assert "nothing" in declined.stdout
    assert not run.exists()
    free = runner.invoke(app, [*command, "--dry-run"])
    assert "price is not known" in free.stderr


def test_the_estimate_is_near_what_is_asked(recorded: Path, tmp_path: Path) -> None:
    config = FidelityConfig(
        recorded=str(recorded),
        simulator=Endpoint(base_url="http://127.0.0.1:9/v1", model="m"),
        tool_endpoint=ToolEndpoint(usd_per_million_in=1.0, usd_per_million_out=1.0),
    )
    plan = plan_fidelity(config, tmp_path / "f.db")
    estimate = plan.estimate
    assert estimate.calls == len(plan.steps)
    assert estimate.cost_usd == pytest.approx((estimate.tokens_in + estimate.tokens_out) / 1e6)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"messages": [{"role": "user", "content": "hi"}]}', "no answered call"),
        ('{"messages": [{"role": "user", "content": "hi"}], "state": 3}', "`state` is no object"),
        ('{"what": 1}', "line 1"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line)
    with pytest.raises(UsageError, match=problem):
        plan_fidelity(FidelityConfig(recorded=str(path)), tmp_path / "f.db")
    assert not (tmp_path / "f.db").exists()
