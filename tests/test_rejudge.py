"""Judging stored conversations again: a new scoring each time, and nothing overwritten."""

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from simia_store import (
    STOP,
    JudgementRecord,
    Reader,
    ScoringRecord,
    StoreError,
    TrajectoryStatus,
    open_store,
    send_command,
)

import simia_async
from simia_async.builtin.server import completion
from simia_async.config import SCRIPTED_AGENT, JudgeConfig
from simia_async.environments import Task, load_environment
from simia_async.errors import EndpointRefused, RunStopped, UsageError
from simia_async.runs.judge import JudgeProgress, JudgeResult, run_judge
from simia_async.runs.scorings import Change, last_change
from simia_async.runs.stored_cases import case_of, is_judgeable
from simia_async.simulation.prompts import read_sections
from simia_async.testing import Faults, ScriptedServer

TASKS, SIZE = 8, 2


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


def at(server: ScriptedServer, **settings: Any) -> dict[str, Any]:
    return {"base_url": server.base_url, "model": "world", "api_key_env": "", **settings}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [tmp_path_factory.mktemp("rejudge") / "r.db"]


@pytest.fixture
async def played(template: list[Path], tmp_path: Path, server: ScriptedServer) -> Path:
    """A run in which some tasks are done and some are cut off after three replies."""
    [made] = template
    if not made.exists():
        groups = simia_async.rollout(
            run=made,
            tasks=TASKS,
            group_size=SIZE,
            max_turns=3,
            simulator=at(server),
            policy=at(server, model=SCRIPTED_AGENT),
        )
        assert [len(group.rollouts) async for group in groups] == [SIZE] * TASKS
    return Path(shutil.copy(made, tmp_path / "r.db"))


async def judge(run: Path, rubric: str = "", **settings: Any) -> JudgeResult:
    if rubric:
        path = run.with_name("rubric.toml")
        path.write_text(rubric)
        settings["rubric"] = str(path)
    config = msgspec.convert(settings, JudgeConfig)
    return await run_judge(config, run, report=lambda _: None)


def contents(run: Path) -> dict[str, Any]:
    """What was there of conversations."""
    with Reader(run) as reader:
        trajectories = list(reader.trajectories())
        return {
            "trajectories": trajectories,
            "turns": [reader.turns(each.id) for each in trajectories],
            "judgements": list(reader.judgements(scoring_id=1)),
            "scoring": reader.scorings()[0],
            "run": reader.run(),
        }


def judgements(run: Path, scoring: int) -> dict[int, JudgementRecord]:
    with Reader(run) as reader:
        return {each.trajectory_id: each for each in reader.judgements(scoring_id=scoring)}


async def test_code_tells_of_stored_conversations_what_it_told_when_they_were_played(
    played: Path,
) -> None:
    before = contents(played)
    result = await judge(played, 'combine = "check"')
    assert (result.scoring, result.judge, result.judged) == (2, "", TASKS * SIZE)
    assert contents(played) == before
    made = judgements(played, 2)
    for trajectory in before["trajectories"]:
        again = made[trajectory.id]
        assert again.detail["solved"] == trajectory.detail["solved"]
        assert again.detail["checks"] == trajectory.detail["checks"]
        assert again.reward == float(trajectory.detail["solved"])
    assert 0 < sum(each.reward for each in made.values()) < TASKS * SIZE
    with Reader(played) as reader:
        assert msgspec.to_builtins(reader.scorings()[1].rubric)["combine"] == "check"


async def test_the_judge_is_asked_of_them_as_it_was_when_they_were_played(
    played: Path, server: ScriptedServer
) -> None:
    result = await judge(played, simulator=at(server))
    before, again = judgements(played, 1), judgements(played, 2)
    assert {n: j.reward for n, j in again.items()} == {n: j.reward for n, j in before.items()}
    assert {n: j.detail for n, j in again.items()} == {n: j.detail for n, j in before.items()}
    assert result.judge == "world"
    mean = sum(each.reward for each in before.values()) / len(before)
    assert result.change == Change(1, len(before), mean, up=0, down=0, agreement=1.0)


async def test_every_change_and_call_is_read_back(played: Path) -> None:
    environment = load_environment("mini-retail")
    changed = 0
    with Reader(played) as reader:
        tasks = {record.id: msgspec.convert(record.task, Task) for record in reader.tasks()}
        for trajectory in list(reader.trajectories()):
            assert is_judgeable(trajectory)
            task = tasks[trajectory.task_id]
            case = case_of(reader, trajectory, task, environment, grounded=True)
            called = [c.function.name for m in case.history for c in m.tool_calls or ()]
            assert [made.tool for made in case.made] == called[: len(case.made)]
            assert len(case.made) == sum(message.role == "tool" for message in case.history)
            assert bool(case.changes) == (case.final_state != case.initial_state)
            assert case.finished == (trajectory.stop_reason == "user_done")
            changed += bool(case.changes)
    assert changed


async def test_each_judging_is_one_more_scoring(played: Path, server: ScriptedServer) -> None:
    assert (await judge(played, 'combine = "check"')).scoring == 2
    assert (await judge(played, 'combine = "min"', simulator=at(server))).scoring == 3
    again = await judge(played, 'combine = "min"', simulator=at(server), votes=3)
    assert (again.scoring, again.change.scoring) == (4, 3)
    assert all(len(each.detail["votes"]) == 3 for each in judgements(played, 4).values())
    # One that is finished is not gone on with: its repetition shows how steady the judge is.
    assert (await judge(played, 'combine = "min"', simulator=at(server))).scoring == 5


async def test_conversations_whose_own_judge_failed_are_judged_and_cancelled_ones_are_not(
    played: Path, server: ScriptedServer
) -> None:
    async with open_store(played) as store:
        with Reader(played) as reader:
            first, second = list(reader.trajectories())[:2]
        lost = {"status": TrajectoryStatus.UNSCORED, "reward": None}
        await store.append(
            msgspec.structs.replace(first, stop_reason="judge_error", **lost),
            msgspec.structs.replace(second, stop_reason="cancelled", **lost),
        )
    result = await judge(played, simulator=at(server))
    assert (result.wanted, result.judged) == (TASKS * SIZE - 1,) * 2
    assert judgements(played, 2)[first.id].reward == first.reward
    assert second.id not in judgements(played, 2)
    assert result.change.both == TASKS * SIZE - 2


async def test_what_failed_is_judged_when_it_is_started_again(played: Path, start: Any) -> None:
    failing = True

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"data": [{"id": "m"}]})
        prompt = (await request.json())["messages"][1]["content"]
        if failing and len(read_sections(prompt)["history"]) % 2:
            return web.json_response(completion("m", "I would rather not.", 1))
        return web.json_response(completion("m", '{"reward": 0.75, "reasoning": "so"}', 1))

    endpoint = msgspec.to_builtins(await start(answer))
    first = await judge(played, simulator=endpoint)
    assert 0 < first.failed == first.wanted - first.judged
    failing = False
    kept = judgements(played, 2)
    second = await judge(played, simulator=endpoint)
    assert (second.scoring, second.judged, second.failed) == (2, second.wanted, 0)
    assert judgements(played, 2).items() >= kept.items()
    assert second.reward_mean == 0.75
    with Reader(played) as reader:
        asked = [call.trajectory_id for call in reader.calls() if call.model == "m"]
    # Twice each of those that failed, once more each; the others once.
    assert len(asked) == first.judged + 3 * first.failed


async def test_a_judge_that_refuses_everything_ends_it_at_once(
    played: Path, server: ScriptedServer
) -> None:
    rubric = '[[criteria]]\nname = "kind"\ndescription = "It is."'
    with pytest.raises(EndpointRefused, match="can tell state, said, finished, not kind"):
        await judge(played, rubric, simulator=at(server, max_in_flight=2))
    with Reader(played) as reader:
        assert sum(call.status == "EndpointRefused" for call in reader.calls()) < TASKS * SIZE


async def test_a_budget_is_of_the_judging_and_kept_over_its_sessions(
    played: Path, server: ScriptedServer
) -> None:
    copy = Path(shutil.copy(played, played.with_name("copy.db")))
    whole = (await judge(copy, simulator=at(server))).spending.spent_tokens
    tight = {"max_tokens": round(0.8 * whole)}
    few = await judge(played, simulator=at(server), budget=tight)
    assert few.budget_spent
    assert 0 < few.judged < few.wanted
    assert few.spending.spent_tokens <= tight["max_tokens"]
    none = await judge(played, simulator=at(server), budget=tight)
    assert (none.scoring, none.judged) == (2, few.judged)
    rest = await judge(played, simulator=at(server), budget={"max_tokens": round(2 * whole)})
    assert (rest.judged, rest.budget_spent) == (rest.wanted, False)
    with Reader(played) as reader:
        calls = [call for call in reader.calls() if call.role == "judge"][-rest.wanted :]
    assert rest.spending.spent_tokens == sum(call.tokens_in + call.tokens_out for call in calls)


async def test_progress_counts_up_to_the_end(played: Path) -> None:
    seen: list[JudgeProgress] = []
    path = played.with_name("rubric.toml")
    path.write_text('combine = "check"')
    config = JudgeConfig(rubric=str(path))
    await run_judge(config, played, report=lambda _: None, on_progress=seen.append)
    assert [progress.done for progress in seen] == list(range(1, TASKS * SIZE + 1))


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def begin(run: Path, *flags: str) -> asyncio.subprocess.Process:
    main = "from simia_async.cli.main import main; main()"
    command = [sys.executable, "-c", main, "judge", str(run), *flags]
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def test_a_killed_judging_goes_on_and_judges_nothing_twice(
    played: Path, server: ScriptedServer
) -> None:
    server.faults = Faults(hang=0.5)
    flags = ["--base-url", server.base_url, "--simulator-model", "world", "--max-in-flight", "3"]
    process = await begin(played, *flags)
    await until(lambda: len(judgements(played, 2)) >= 2)
    process.kill()
    await process.communicate()
    before = judgements(played, 2)
    assert 2 <= len(before) < TASKS * SIZE
    server.faults = Faults()
    told: list[str] = []
    config = msgspec.convert({"simulator": at(server, max_in_flight=3)}, JudgeConfig)
    result = await run_judge(config, played, report=told.append)
    assert (result.scoring, result.judged) == (2, result.wanted)
    assert judgements(played, 2).items() >= before.items()
    assert told == ["the run was cut off; at most 3 calls were in flight and are made again"]
    assert result.spending.lost_calls == 3


@pytest.mark.parametrize(
    ("kept", "problem"),
    [("nothing", "no such run database"), ("a generate run", "holds no conversation of a policy")],
)
async def test_what_holds_no_conversations_is_refused(
    tmp_path: Path, server: ScriptedServer, kept: str, problem: str
) -> None:
    run = tmp_path / "g.db"
    if kept != "nothing":
        await simia_async.generate(run=run, n=1, prefilter=False, simulator=at(server))
    with pytest.raises((UsageError, StoreError), match=problem):
        await judge(run)
    assert run.exists() == (kept != "nothing")


async def test_a_check_must_be_there_before_anything_is_written(
    played: Path, server: ScriptedServer
) -> None:
    async with open_store(played) as store:
        with Reader(played) as reader:
            record = next(reader.tasks())
        bare = {**record.task, "check": None}
        await store.append(msgspec.structs.replace(record, task=bare))
    with pytest.raises(UsageError, match="has no exact `check`"):
        await judge(played, 'combine = "check"')
    with Reader(played) as reader:
        assert [scoring.id for scoring in reader.scorings()] == [1]


async def test_a_change_is_counted_over_what_both_scorings_judged(played: Path) -> None:
    with Reader(played) as reader:
        rewards = {each.id: each.reward for each in reader.trajectories()}
    good = [number for number, reward in rewards.items() if reward == 1.0]
    bad = [number for number, reward in rewards.items() if reward == 0.0]
    new = {good[0]: 0.6, good[1]: 0.4, good[2]: 1.0, bad[0]: 0.1}
    async with open_store(played) as store:
        await store.append(
            ScoringRecord(2, {}, "unused"),
            ScoringRecord(3, {}, "m"),
            *(JudgementRecord(3, number, reward) for number, reward in new.items()),
            JudgementRecord(3, bad[1], None, "failed"),
        )
    with Reader(played) as reader:
        # Nothing was judged by the second one.
        assert last_change(reader, 3) == Change(1, 4, 0.75, up=1, down=2, agreement=0.75)
        assert last_change(reader, 1) is None


async def test_the_table_tells_what_changed(played: Path) -> None:
    rubric = played.with_name("rubric.toml")
    rubric.write_text('combine = "check"')
    process = await begin(played, "--rubric", str(rubric))
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert b"code alone" in said
    assert b"100%" in said


async def test_whoever_asks_for_its_end_is_answered(played: Path, server: ScriptedServer) -> None:
    server.faults = Faults(hang=1.0)
    judging = asyncio.create_task(judge(played, simulator=at(server)))
    await until(lambda: server.log.in_flight > 0)
    number = send_command(played, STOP)
    with pytest.raises(RunStopped, match="simia runs stop"):
        await judging
    with Reader(played) as reader:
        assert reader.command(number).answer == "the run ended: stopped"
        # What was in flight may have been paid.
        assert {call.status for call in reader.calls()} == {"ok", "CancelledError"}
