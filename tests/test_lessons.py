"""What the tiny base is pre-trained on: right in what it says, of many habits in what it does."""

import hashlib
import itertools
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simia_async.builtin.habits import Habit, draw_habits, told_with_habits
from simia_async.builtin.lessons import lessons
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.random_worlds import draw_world
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.builtin.worlds.desk import Desk
from simia_async.messages import Message


def test_they_are_word_for_word_what_the_base_learnt_from() -> None:
    told = [
        *itertools.islice(lessons(0, drill=True), 50),
        *itertools.islice(lessons(0, drill=False), 200),
    ]
    assert hashlib.sha256(msgspec.json.encode(told)).hexdigest() == (
        "0bfbd072947ee522178ccc6bf36c4109f21fefd4a5aecd5580f4ca789cd8756d"
    )


def conversation(number: int) -> tuple[Desk, list[Message]]:
    rng = random.Random(number)
    world = draw_world(rng)
    return world, oracle_dialogue(world, draw_task(world, rng.choice(TEMPLATES), number, "train"))


def written(world: Desk, messages: list[Message]) -> list[str]:
    """The calls that change something."""
    tools = {action.tool for action in world.actions}
    made = [call.function for message in messages for call in message.tool_calls or ()]
    return [f"{call.name} {call.arguments}" for call in made if call.name in tools]


@given(st.integers(0, 10_000))
def test_who_acts_at_once_is_the_scripted_agent(number: int) -> None:
    world, messages = conversation(number)
    habits: dict[str, Habit] = {action.tool: "act" for action in world.actions}
    assert told_with_habits(world, messages, habits, random.Random(0)) == messages


@given(st.integers(0, 10_000))
def test_who_asks_first_does_the_same_after_a_yes(number: int) -> None:
    world, messages = conversation(number)
    habits: dict[str, Habit] = {action.tool: "ask" for action in world.actions}
    told = told_with_habits(world, messages, habits, random.Random(0))
    assert written(world, told) == written(world, messages)
    assert len(told) == len(messages) + 2 * len(written(world, messages))


@given(st.integers(0, 10_000))
def test_who_passes_it_on_changes_nothing(number: int) -> None:
    world, messages = conversation(number)
    habits: dict[str, Habit] = {action.tool: "pass on" for action in world.actions}
    told = told_with_habits(world, messages, habits, random.Random(0))
    assert not written(world, told)
    assert [m for m in told if m.role == "user"] == [m for m in messages if m.role == "user"]


@given(st.integers(0, 10_000))
def test_every_conversation_is_one(number: int) -> None:
    world, messages = conversation(number)
    rng = random.Random(number)
    told = told_with_habits(world, messages, draw_habits(world, rng), rng)
    assert told[-1].role == "assistant"
    assert not told[-1].tool_calls
    for before, after in itertools.pairwise(told):
        assert after.role == ("tool" if before.tool_calls else _next_speaker(before))


def _next_speaker(before: Message) -> str:
    return {"system": "user", "user": "assistant", "tool": "assistant", "assistant": "user"}[
        before.role
    ]


@pytest.mark.parametrize("habit", ["act", "ask", "pass on"])
def test_every_habit_is_met(habit: str) -> None:
    drawn = [draw_habits(draw_world(random.Random(n)), random.Random(n)) for n in range(200)]
    assert sum(habit in habits.values() for habits in drawn) > 60
