"""The scripted agent solves every task of every scripted world; agents that do not look do not."""

import json
import re
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.baseline_agents import idle_reply, random_agent
from simia_async.builtin.play import MAX_AGENT_TURNS, Played, play
from simia_async.builtin.scripted_agent import next_reply
from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS, draw_tasks
from simia_async.builtin.worlds.engine import ScriptedWorld
from simia_async.environments import Split, Task
from simia_async.messages import Message

SPLITS: tuple[Split, ...] = ("train", "heldout")
COUNT = 84
"""Tasks of a world and split: each template comes at least four times."""
every_world = pytest.mark.parametrize("world", SCRIPTED_WORLDS.values(), ids=lambda w: w.name)


def tasks_of(world: ScriptedWorld, count: int = COUNT, seed: int = 0) -> list[Task]:
    return [t for split in SPLITS for t in draw_tasks(world, count, split=split, seed=seed)]


@every_world
@settings(max_examples=12, deadline=None, database=None)
@given(seed=st.integers(0, 10**9))
def test_the_scripted_agent_solves_every_task(world: ScriptedWorld, seed: int) -> None:
    for task in tasks_of(world, 21, seed):
        played = play(world, task, next_reply)
        assert played.solves(task), (task.id, played.messages)
        assert played.finished


@every_world
def test_the_agent_that_does_nothing_solves_exactly_what_asks_for_nothing(
    world: ScriptedWorld,
) -> None:
    tasks = tasks_of(world)
    solved = {task.id for task in tasks if play(world, task, idle_reply).solves(task)}
    nothing = [t for t in tasks if not t.needs_action and t.check and not t.check.must_say]
    assert solved == {task.id for task in nothing}
    assert {task.template.endswith(("withdrawn", "declined")) for task in nothing} == {True}
    assert len(nothing) > 0


@every_world
def test_an_agent_that_acts_at_random_hardly_ever_does_what_was_needed(
    world: ScriptedWorld,
) -> None:
    tasks = [task for task in tasks_of(world) if task.needs_action]
    solved = sum(play(world, t, random_agent(n)).solves(t) for n, t in enumerate(tasks))
    assert solved / len(tasks) < 0.05


@every_world
def test_tools_fail_on_the_way_to_some_solutions(world: ScriptedWorld) -> None:
    tasks = tasks_of(world)
    failing = Counter(t.template for t in tasks if play(world, t, next_reply).tool_errors)
    assert failing.total() >= len(tasks) / 20


@every_world
def test_what_has_to_be_written_often_stands_in_observations_alone(world: ScriptedWorld) -> None:
    tasks = [task for task in tasks_of(world) if task.needs_action]
    copied = [task for task in tasks if copies_from_observations(play(world, task, next_reply))]
    assert len(copied) >= len(tasks) / 2


def copies_from_observations(played: Played) -> bool:
    """Whether a call holds a value that an earlier observation told, and the user never did."""
    seen, said, copied = "", "", False
    for message in played.messages:
        seen += (message.content or "") if message.role == "tool" else ""
        said += (message.content or "") if message.role == "user" else ""
        for call in message.tool_calls or ():
            values = json.loads(call.function.arguments).values()
            copied = copied or any(value in seen and value not in said for value in values)
    return copied


@pytest.mark.parametrize("name", ["mini-telecom", "mini-library"])
def test_the_same_opening_words_may_mean_any_of_many_tasks(name: str) -> None:
    world = SCRIPTED_WORLDS[name]
    outcomes = defaultdict(set)
    for task in tasks_of(world, 20 * COUNT):
        opening = re.sub('"[^"]+"', "a book", task.scenario.utterances[0].text)
        outcomes[opening].add(task.template)
    # A complaint has seven causes; a wish to borrow may end in eight ways.
    assert max(map(len, outcomes.values())) >= 7


@every_world
def test_the_agent_answers_the_same_to_the_same_and_calls_with_ids_of_its_own(
    world: ScriptedWorld,
) -> None:
    for task in draw_tasks(world, 21, split="train"):
        messages = play(world, task, next_reply).messages
        calls = [call.id for m in messages for call in m.tool_calls or ()]
        assert len(set(calls)) == len(calls)
        turns = [at for at, message in enumerate(messages) if message.role == "assistant"]
        assert len(turns) <= MAX_AGENT_TURNS
        for at in turns:
            assert next_reply(world, messages[:at]) == messages[at]


def test_the_agent_does_not_speak_first() -> None:
    for world in SCRIPTED_WORLDS.values():
        with pytest.raises(ValueError, match="has not spoken yet"):
            next_reply(world, [Message("system", world.policy())])
