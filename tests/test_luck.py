"""The meter of luck: rollouts replayed, action for action, over HTTP."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from simia_store import GroupRecord, Reader, TurnRecord

from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.scripted_worlds import draw_tasks
from simia_async.cli.meter_luck import print_result
from simia_async.clients import ChatClient
from simia_async.config import (
    SCRIPTED_AGENT,
    Endpoint,
    EvalConfig,
    LuckConfig,
    PolicyEndpoint,
    RolloutConfig,
)
from simia_async.config.limits import Budget
from simia_async.environments import Environment
from simia_async.errors import BadReply, BudgetSpent, EndpointError, UsageError
from simia_async.messages import Message
from simia_async.runs.evaluate import run_evaluate
from simia_async.runs.luck import played_beside, run_luck
from simia_async.runs.luck_playback import PlaybackSimulator, RecordedPolicy
from simia_async.runs.luck_recordings import Recording, read_recordings
from simia_async.runs.luck_result import LuckResult
from simia_async.runs.rollout import run_rollouts
from simia_async.simulation.replies import DeviceCall, DeviceUserReply, UserReply
from simia_async.testing import Faults, Lies, ScriptedServer

TASKS, SIZE, REPLAYS = 6, 2, 3


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


def settings(server: ScriptedServer, **own: Any) -> LuckConfig:
    return LuckConfig(
        simulator=Endpoint(
            base_url=server.base_url,
            model="world",
            api_key_env="",
            retry_budget_s=0.01,
            usd_per_million_in=1.0,
            usd_per_million_out=2.0,
        ),
        policy=PolicyEndpoint(
            base_url=server.base_url,
            model=SCRIPTED_AGENT,
            api_key_env="",
            usd_per_million_in=1.0,
            usd_per_million_out=2.0,
        ),
        **{"tasks": TASKS, "group_size": SIZE, "replays": REPLAYS, **own},
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [tmp_path_factory.mktemp("luck") / "r.db"]


@pytest.fixture
async def played(template: list[Path], tmp_path: Path, server: ScriptedServer) -> Path:
    """A run of rollouts in a world that lies now and then, so that they differ."""
    [made] = template
    if not await anyio.Path(made).exists():
        config = settings(server)
        shared = set(RolloutConfig.__struct_fields__) & set(LuckConfig.__struct_fields__)
        rollouts = RolloutConfig(**{name: getattr(config, name) for name in shared})
        server.lies = Lies(wrong_observations=0.3)
        await run_rollouts(rollouts, made, report=print)
        server.lies = Lies()
    return Path(shutil.copy(made, tmp_path / "r.db"))


async def measure(
    server: ScriptedServer, run: Path, rollouts: Path | None = None, **own: Any
) -> tuple[LuckResult, list[str]]:
    told: list[str] = []
    config = settings(server, **own)
    result = await run_luck(config, run, rollouts=rollouts, report=told.append)
    return result, told


def spoken(run: Path, number: int, role: str) -> list[dict[str, Any]]:
    with Reader(run) as reader:
        return [turn.message for turn in reader.turns(number) if turn.role == role]


async def test_policy_and_user_say_what_was_recorded(
    server: ScriptedServer, played: Path, tmp_path: Path
) -> None:
    before = await anyio.Path(played).read_bytes()
    result, told = await measure(server, tmp_path / "l.db", played)
    assert result.wanted == result.replayed == TASKS * SIZE * REPLAYS
    with Reader(result.run) as reader:
        groups = list(reader.all(GroupRecord))
        asked = {call.role for call in reader.calls()}
        facts = {group.id: reader.facts(group_id=group.id) for group in groups}
    assert asked == {"tool", "judge"}, "nobody else is asked"
    assert {group.step for group in groups} == set(range(1, TASKS * SIZE + 1))
    for group in groups:
        for role in ("assistant", "user"):
            recorded = spoken(played, group.step, role)
            assert spoken(result.run, group.id, role) == recorded[: len(recorded)]
    assert any(facts.values())
    assert await anyio.Path(played).read_bytes() == before
    assert "36 replays are to be played: about" in told[0]
    assert "$" in told[0]


async def test_a_world_and_a_judge_that_are_steady_leave_all_to_the_policy(
    server: ScriptedServer, played: Path, tmp_path: Path
) -> None:
    result, _ = await measure(server, tmp_path / "l.db", played)
    found = result.variance
    assert found.judge is not None
    assert (found.world.raw, found.judge.raw) == (0, 0)
    assert found.policy is not None
    assert found.policy.share in (None, 1)


async def test_the_noise_of_the_judge_is_the_judges(server: ScriptedServer, tmp_path: Path) -> None:
    server.lies = Lies(flipped_judgements=0.3)
    result, _ = await measure(server, tmp_path / "l.db", judgings=4, replays=6)
    judge = result.variance.judge
    assert judge is not None
    assert judge.raw == pytest.approx(0.3 * 0.7, abs=0.06)
    assert judge.share is not None
    assert judge.share > 0.8
    once, _ = await measure(server, tmp_path / "once.db", judgings=1)
    assert once.variance.judge is None
    assert (once.variance.world.share or 0) > 0.5, "then it cannot be told from the world's"


async def test_a_world_that_answers_at_random_is_luck(
    server: ScriptedServer, played: Path, tmp_path: Path
) -> None:
    server.lies = Lies(wrong_observations=0.5)
    result, _ = await measure(server, tmp_path / "l.db", played, replays=8)
    found = result.variance
    assert found.judge is not None
    assert found.judge.raw == 0
    assert found.world.share is not None
    assert found.world.share > 0.5
    assert any(task.world_share > 0.5 for task in result.tasks)


async def test_it_goes_on_and_pays_nothing_twice(
    server: ScriptedServer, played: Path, tmp_path: Path
) -> None:
    run = tmp_path / "l.db"
    server.faults = Faults(server_error=1.0)
    with pytest.raises(EndpointError):
        await measure(server, run, played)
    server.faults = Faults()
    result, _ = await measure(server, run, played)
    assert result.replayed == result.wanted
    asked = len(server.log.served())
    again, told = await measure(server, run, played)
    assert len(server.log.served()) == asked, "nothing is asked again"
    assert not told
    assert again.variance == result.variance
    more, told = await measure(server, run, played, replays=REPLAYS + 1)
    assert more.replayed == TASKS * SIZE * (REPLAYS + 1)
    assert told[0].startswith("12 replays")
    with Reader(run) as reader:
        assert len(list(reader.trajectories())) == more.wanted
        assert len(reader.metrics("luck/reward_replayed")) == 2
    with pytest.raises(UsageError, match="replay 3 was of rollout 3"):
        await measure(server, run, played, tasks=1)


async def test_a_budget_holds_for_what_is_played_first_too(
    server: ScriptedServer, tmp_path: Path
) -> None:
    run = tmp_path / "l.db"
    result, _ = await measure(server, run)
    with Reader(played_beside(run)) as reader:
        played = sum(call.cost_usd or 0 for call in reader.calls())
    assert result.spending.spent_usd is not None
    assert result.spending.spent_usd > played > 0
    limit = played + (result.spending.spent_usd - played) / 2
    short, _ = await measure(server, tmp_path / "s.db", budget=Budget(max_cost_usd=limit))
    assert short.budget_spent
    assert 0 < short.replayed < short.wanted
    assert short.spending.spent_usd is not None
    assert short.spending.spent_usd <= limit
    with pytest.raises(BudgetSpent, match="before any rollout could be replayed twice"):
        await measure(server, tmp_path / "n.db", budget=Budget(max_cost_usd=played * 1.01))


async def test_what_is_no_run_of_rollouts_is_refused(
    server: ScriptedServer, played: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"holds a run of kind rollout already.*--rollouts"):
        await measure(server, played)
    assert not played_beside(played).exists()
    result, _ = await measure(server, tmp_path / "l.db", played, replays=2, tasks=1)
    with pytest.raises(UsageError, match="holds a run of kind luck; expected a run of simia"):
        await measure(server, tmp_path / "m.db", result.run)
    assert msgspec.json.encode(result, enc_hook=str)


async def test_trials_of_an_evaluation_are_rollouts_of_their_task(
    server: ScriptedServer, tmp_path: Path
) -> None:
    played, like = tmp_path / "e.db", settings(server)
    config = EvalConfig(
        simulator=like.simulator, policy=like.policy, tasks=2, k=3, temperatures=(0.0, 1.0)
    )
    await run_evaluate(config, played, report=print)
    recordings, unended = read_recordings(played, 32, 4)
    assert unended == 0
    with Reader(played) as reader:
        groups = {each.id: each for each in reader.all(GroupRecord)}
        of = [groups[reader.trajectory(each.id).group_id] for each in recordings]
    assert [(group.task_id, group.step) for group in of] == [
        (task, 1) for task in dict.fromkeys(group.task_id for group in of) for _ in range(3)
    ], "all trials at the last temperature, of both tasks"
    assert len({group.task_id for group in of}) == 2


async def test_one_rollout_a_task_cannot_tell_luck_from_the_policy(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.lies = Lies(flipped_judgements=0.5)
    result, _ = await measure(server, tmp_path / "l.db", group_size=1, replays=4)
    assert result.variance.policy is None
    assert result.variance.world.share is None
    assert {task.world_share for task in result.tasks} == {0.0}
    print_result(result)
    shown = capsys.readouterr().out
    assert "no task has two rollouts" in " ".join(shown.split())
    assert "nothing varies" not in shown
    with Reader(result.run) as reader:
        assert not reader.metrics("luck/world_share")


async def test_one_prompt_that_plays_both_is_replayed_too(
    server: ScriptedServer, tmp_path: Path
) -> None:
    result, _ = await measure(server, tmp_path / "l.db", tasks=2, replays=2, mode="joint")
    assert result.replayed == result.wanted == 2 * SIZE * 2
    source = played_beside(result.run)
    with Reader(result.run) as reader:
        groups = list(reader.all(GroupRecord))
        stops = {number: reader.trajectory(number).stop_reason for number in (1, 2, 3)}
    for group in groups:
        for role in ("user", "assistant", "tool"):
            told, recorded = spoken(result.run, group.id, role), spoken(source, group.step, role)
            assert told == recorded, "a steady world says the same again"
    with Reader(source) as reader:
        assert stops[1] == reader.trajectory(1).stop_reason


async def test_calls_that_could_not_be_read_are_refused_again() -> None:
    refusal = {"error": "no closing tag"}
    turns = [
        TurnRecord(1, 0, "user", {"role": "user", "content": "hello"}),
        TurnRecord(1, 1, "assistant", {"role": "assistant", "content": "<call>"}, is_error=True),
        TurnRecord(1, 2, "tool", {"role": "tool", "content": json.dumps(refusal)}, is_error=True),
        TurnRecord(1, 3, "assistant", {"role": "assistant", "content": "So"}, ends="context_full"),
    ]
    policy = RecordedPolicy(turns)
    voice = policy.voice(Environment("e", "", []), 1, 0)
    said = [await voice.speak([], turn, []) for turn in range(policy.sampling.max_turns)]
    assert [each.problem for each in said] == ["no closing tag", None]
    assert [each.is_cut for each in said] == [False, True]
    assert policy.problem_of("<call>") == "no closing tag"
    assert policy.problem_of("So") is None


async def test_what_users_do_on_a_device_is_done_again(server: ScriptedServer) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "reboot", "arguments": "{}"}}
    turns = [
        TurnRecord(1, 0, "user_call", {"role": "user", "tool_calls": [call]}),
        TurnRecord(1, 1, "user_tool", {"role": "tool", "content": "{}"}),
        TurnRecord(1, 2, "user", {"role": "user", "content": "done"}, ends="user_done"),
    ]
    [task] = draw_tasks(MINI_RETAIL, 1, split="train")
    history = [msgspec.convert(turn.message, Message) for turn in turns]
    async with ChatClient.connect(settings(server).simulator) as client:
        world = PlaybackSimulator(
            client,
            Environment("e", "", []),
            {7: Recording(1, task, turns, None, {})},
            tool=client,
            joint=False,
        )
        acts = await world.user(task, [], [], 7)
        speaks = await world.user(task, history[:2], [], 7)
        with pytest.raises(BadReply):
            await world.user(task, history, [], 7)
    assert isinstance(acts, DeviceUserReply)
    assert acts.tool_calls == [DeviceCall("reboot", "{}")]
    assert speaks == UserReply("done", done=True)
