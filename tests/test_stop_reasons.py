"""Every way in which a conversation of a run ends, and how it goes on where it may."""

from pathlib import Path

import anyio
import msgspec
import pytest
from simia_store import CANCEL, CommandStatus, Reader, RunStatus, TrajectoryRecord, TrajectoryStatus

from simia_async.builtin.server.completions import Reply
from simia_async.config import Budget
from simia_async.environments import load_environment
from simia_async.rollouts.stop_reason import StopReason
from tests.rollout_servers import (
    CANCELLING,
    Playhouse,
    Say,
    calls_of,
    command,
    config_at,
    failing,
    once_held,
    playhouse,
    roll,
    turns_of,
)


@pytest.fixture
async def house():
    async with playhouse() as opened:
        yield opened


def the_trajectory(run: Path) -> TrajectoryRecord:
    with Reader(run) as reader:
        [trajectory] = reader.trajectories()
    return trajectory


async def play(house: Playhouse, run: Path, **settings) -> TrajectoryRecord:
    """Play one conversation; what became of it, which the result's counts agree with."""
    environment = settings.pop("environment", None)
    result = await roll(
        config_at(house, **settings), run, environment=environment, tasks=[CANCELLING]
    )
    trajectory = the_trajectory(run)
    assert result.stops == {trajectory.stop_reason: 1}
    assert result.scored == (trajectory.reward is not None)
    assert trajectory.finished_at is not None
    if trajectory.reward is None:
        assert trajectory.status == TrajectoryStatus.UNSCORED
        assert trajectory.boundary == str(trajectory.stop_reason).removesuffix("_error")
        assert trajectory.reason
    return trajectory


async def test_the_user_is_done(house: Playhouse, tmp_path: Path) -> None:
    ended = await play(house, tmp_path / "r.db")
    assert (ended.stop_reason, ended.reward) == (StopReason.USER_DONE, 1.0)


async def test_the_agent_is_done(house: Playhouse, tmp_path: Path) -> None:
    world = load_environment("mini-retail")
    names = frozenset(tool["function"]["name"] for tool in world.tools)
    ending = msgspec.structs.replace(world, ending_tools=names)
    ended = await play(house, tmp_path / "r.db", environment=ending)
    assert ended.stop_reason == StopReason.AGENT_DONE
    assert ended.reward is not None
    assert turns_of(tmp_path / "r.db")[1][-1].role == "tool"


async def test_the_policy_has_spoken_as_often_as_it_may(house: Playhouse, tmp_path: Path) -> None:
    house.instead["policy"] = lambda _: "Is there anything else?"
    house.instead["user"] = lambda _: '{"message": "Yes.", "done": false}'
    ended = await play(house, tmp_path / "r.db", max_turns=3)
    assert (ended.stop_reason, ended.reward) == (StopReason.MAX_TURNS, 0.0)
    assert house.asked["policy"] == 3


CUT: Say = lambda _: Reply("Well, it depends on", finish_reason="length")  # noqa: E731
TOO_LONG = failing(400, "context_length_exceeded", "at most 8192 tokens")
TOO_LONG_IN_WORDS = failing(400, "", "This model's maximum context length is 8192 tokens.")


@pytest.mark.parametrize(
    ("says", "context"),
    [(CUT, None), (TOO_LONG, None), (TOO_LONG_IN_WORDS, None), (None, 100)],
    ids=["reply cut off", "refused by code", "refused in words", "limit of the run"],
)
async def test_the_context_is_full(
    house: Playhouse, tmp_path: Path, says: Say | None, context: int | None
) -> None:
    if says is not None:
        house.instead["policy"] = says
    ended = await play(house, tmp_path / "r.db", context=context)
    assert (ended.stop_reason, ended.reward) == (StopReason.CONTEXT_FULL, 0.0)


def answering_first(good: int, then: Say) -> Say:
    """Speaks as ever so many times, and then otherwise."""
    asked = 0

    def say(request):
        nonlocal asked
        asked += 1
        return then(request) if asked > good else None

    return say


PROSE: Say = lambda _: "I would rather not."  # noqa: E731


@pytest.mark.parametrize(
    ("role", "good", "says", "reason"),
    [
        ("policy", 1, failing(500), StopReason.POLICY_ERROR),
        ("policy", 1, failing(400), StopReason.POLICY_ERROR),
        ("user", 0, failing(500), StopReason.SIMULATOR_ERROR),
        ("user", 1, failing(400), StopReason.SIMULATOR_ERROR),
        ("user", 1, PROSE, StopReason.SIMULATOR_ERROR),
        ("tool", 0, failing(500), StopReason.SIMULATOR_ERROR),
        ("tool", 0, PROSE, StopReason.SIMULATOR_ERROR),
        ("judge", 0, failing(500), StopReason.JUDGE_ERROR),
        ("judge", 0, PROSE, StopReason.JUDGE_ERROR),
    ],
)
async def test_a_role_that_fails_leaves_no_reward_and_is_asked_again_when_the_run_goes_on(
    house: Playhouse, tmp_path: Path, role: str, good: int, says: Say, reason: StopReason
) -> None:
    house.instead[role] = answering_first(good, says)
    run = tmp_path / "r.db"
    ended = await play(house, run)
    assert (ended.stop_reason, ended.reward) == (reason, None)
    before = turns_of(run)[1]

    house.instead.clear()
    house.asked.clear()
    again = await play(house, run)
    assert (again.stop_reason, again.reward, again.boundary) == (StopReason.USER_DONE, 1.0, None)
    after = turns_of(run)[1]
    assert after[: len(before)] == before
    if role == "judge":
        assert house.asked == {"judge": 1}
        assert after == before
    with Reader(run) as reader:
        [judgement] = reader.judgements(scoring_id=1)
        assert judgement.reward == 1.0


async def test_a_budget_that_was_exceeded_ends_it_and_a_larger_one_goes_on_mid_conversation(
    house: Playhouse, tmp_path: Path
) -> None:
    await play(house, tmp_path / "whole.db")
    asked = [call for call in calls_of(tmp_path / "whole.db") if call.role != "judge"]
    needed = sum(call.tokens_in + call.tokens_out for call in asked)
    house.asked.clear()

    run = tmp_path / "r.db"
    ended = await play(house, run, budget=Budget(max_tokens=needed // 2))
    assert (ended.stop_reason, ended.reward) == (StopReason.BUDGET, None)
    before = turns_of(run)[1]
    assert before, "it had begun"
    assert house.asked["judge"] == 0

    again = await play(house, run, budget=Budget(max_tokens=needed * 10))
    assert (again.stop_reason, again.reward) == (StopReason.USER_DONE, 1.0)
    after = turns_of(run)[1]
    assert len(after) > len(before)
    assert after[: len(before)] == before


async def test_one_that_is_cancelled_ends_so_and_does_not_go_on(
    house: Playhouse, tmp_path: Path
) -> None:
    run, gate, here = tmp_path / "r.db", anyio.Event(), anyio.Event()
    house.instead["policy"] = once_held(2, gate, here)
    config = config_at(house)
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config, run)
        await here.wait()
        answer = await command(run, CANCEL, trajectory=1)
        assert (answer.status, answer.answer) == (CommandStatus.DONE, "trajectory 1 is cancelled")
    ended = the_trajectory(run)
    assert (ended.stop_reason, ended.reward) == (StopReason.CANCELLED, None)
    assert ended.boundary == "cancelled"
    assert house.asked["judge"] == 0
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.DONE
        # What it waited for may have been paid.
        assert [call.role for call in reader.calls() if call.status == "CancelledError"] == [
            "policy"
        ]
    house.asked.clear()
    result = await roll(config, run)
    assert (result.stops, house.asked) == ({"cancelled": 1}, {})


async def test_one_that_is_not_under_way_cannot_be_cancelled(
    house: Playhouse, tmp_path: Path
) -> None:
    run, gate, here = tmp_path / "r.db", anyio.Event(), anyio.Event()
    house.instead["policy"] = once_held(1, gate, here)
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config_at(house), run)
        await here.wait()
        answer = await command(run, CANCEL, trajectory=7)
        gate.set()
    assert answer.status == CommandStatus.REFUSED
    assert answer.answer == "trajectory 7 is not under way"
