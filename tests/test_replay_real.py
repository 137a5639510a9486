"""The 100 real airline conversations, played again through the code path of rollouts."""

import time
from pathlib import Path

import msgspec
import pytest
from simia_store import Reader, TrajectoryRecord, TurnRecord

from simia_async.config import RolloutConfig
from simia_async.formats import hermes, llama3
from simia_async.messages import Message
from tests.recorded_airline import (
    Recorded,
    RecordedPolicy,
    Write,
    as_native,
    calls_in,
    in_text,
    observed,
    play_judge,
    play_tool,
    play_user,
    read_recorded,
    tasks_of,
)
from tests.rollout_servers import config_at, playhouse, roll

MAX_TURNS = 30
"""That of the recorded conversations."""


@pytest.fixture
def recorded(airline_seeds: Path) -> list[Recorded]:
    return read_recorded(airline_seeds)


class Replay(msgspec.Struct):
    """What became of the recorded conversations, in their order."""

    trajectories: list[TrajectoryRecord]
    turns: list[list[TurnRecord]]
    shown: list[list[dict]]
    """What the policy was shown last."""
    seconds: float

    def all_at_once(self) -> bool:
        """Whether all had begun before one ended."""
        last_began = max(each.created_at for each in self.trajectories)
        return last_began < min(each.finished_at or 0.0 for each in self.trajectories)

    def messages(self) -> list[list[Message]]:
        return [[msgspec.convert(t.message, Message) for t in turns] for turns in self.turns]


async def replay(recorded: list[Recorded], run: Path, write: Write, **settings) -> Replay:
    """Play all of them at once."""
    policy = RecordedPolicy(recorded, write)
    async with playhouse() as house:
        house.instead = {
            "policy": policy.say,
            "user": play_user,
            "tool": play_tool,
            "judge": play_judge,
        }
        policy_endpoint = house.policy(calls=settings.pop("calls", "native"))
        config: RolloutConfig = config_at(
            house,
            environment="airline",
            concurrency=len(recorded),
            max_turns=MAX_TURNS,
            policy=policy_endpoint,
            **settings,
        )
        started = time.monotonic()
        await roll(config, run, tasks=tasks_of(recorded))
        seconds = time.monotonic() - started
    with Reader(run) as reader:
        trajectories = sorted(reader.trajectories(), key=lambda each: each.id)
        turns = [reader.turns(each.id) for each in trajectories]
    shown = [policy.shown[number] for number in range(len(recorded))]
    return Replay(trajectories, turns, shown, seconds)


def check_reproduced(recorded: list[Recorded], played: Replay) -> None:
    """Turn counts, calls, endings and rewards are those of the record."""
    assert len(played.trajectories) == len(recorded) > 0
    for real, trajectory, messages in zip(
        recorded, played.trajectories, played.messages(), strict=True
    ):
        assert trajectory.stop_reason == real.stop_reason(MAX_TURNS), trajectory.reason
        assert trajectory.reward == real.reward
        assert [message.role for message in messages] == [m.role for m in real.messages]
        assert calls_in(messages) == real.calls()


def said(messages: list[Message]) -> list[str]:
    """What user and agent said, without the space around it."""
    return [(m.content or "").strip() for m in messages if m.role != "tool"]


async def test_they_are_played_again_word_for_word(
    recorded: list[Recorded], tmp_path: Path
) -> None:
    played = await replay(recorded, tmp_path / "r.db", as_native, world="transcript")
    check_reproduced(recorded, played)
    for real, messages, shown in zip(recorded, played.messages(), played.shown, strict=True):
        assert said(messages) == said(real.messages)
        for one, other in zip(messages, real.messages, strict=True):
            assert one.tool_calls == other.tool_calls
            assert one.tool_call_id == other.tool_call_id
            if one.role == "tool":
                assert observed(one.content) == observed(other.content)
        # The policy was shown all that came before what it said last, and nothing else.
        assert shown == [m.as_wire() for m in messages[: len(shown)]]
        assert {m.role for m in messages[len(shown) + 1 :]} <= {"user", "tool"}
    stops = [each.stop_reason for each in played.trajectories]
    assert [stops.count(each) for each in ("user_done", "agent_done", "max_turns")] == [79, 18, 3]
    assert sum(len(real.calls()) for real in recorded) == 621
    assert played.all_at_once()
    assert played.seconds < 10


async def test_the_real_observations_hold_in_a_grounded_world(
    recorded: list[Recorded], tmp_path: Path
) -> None:
    """The real API contradicts itself nowhere, and code answers what was asked twice as it did."""
    played = await replay(recorded, tmp_path / "r.db", as_native, world="grounded")
    check_reproduced(recorded, played)
    from_facts = 0
    for real, turns in zip(recorded, played.turns, strict=True):
        for turn, message in zip(turns, real.messages, strict=True):
            if turn.role == "tool":
                assert observed(turn.message["content"]) == observed(message.content)
                from_facts += turn.source == "fact"
    assert from_facts >= 5


@pytest.mark.parametrize(
    ("calls", "text_of"),
    [
        ("hermes", hermes.message_text),
        ("llama3", llama3.message_text),
        ("native", hermes.message_text),
    ],
    ids=["hermes", "llama3", "a server without a parser of calls"],
)
async def test_calls_that_are_written_as_text_are_the_same_calls(
    recorded: list[Recorded], tmp_path: Path, calls: str, text_of
) -> None:
    some = recorded[::3]
    played = await replay(
        some, tmp_path / "r.db", in_text(text_of), world="transcript", calls=calls
    )
    check_reproduced(some, played)
    for real, messages in zip(some, played.messages(), strict=True):
        assert said(messages) == said(real.messages)
