"""The scripted world: its tasks can be done, and its author is consistent."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.answers import CannotAnswer, answer
from simia_async.builtin.author import retell
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.random_worlds import draw_world
from simia_async.builtin.scripted_user import FAREWELL, has_finished, next_message
from simia_async.builtin.templates import ALL_TEMPLATES, TEMPLATES, Template, draw_task
from simia_async.builtin.worlds.desk import Action, Desk
from simia_async.builtin.worlds.drawing import HELDOUT_MODULUS
from simia_async.environments import (
    Scenario,
    Seed,
    Split,
    Task,
    Utterance,
    load_environment,
    load_seeds,
)
from simia_async.judging.checks import check_exactly
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation import apply_ops, arguments_of
from simia_async.simulation.prompts import compose
from simia_async.simulation.replies import UserReply
from simia_async.synthesis.rules import apply_rules

LIBRARY = load_environment("mini-retail")
assert LIBRARY.seeds_file is not None
SHIPPED = load_seeds(LIBRARY.seeds_file)
SPLITS: tuple[Split, ...] = ("train", "heldout")
every_template = pytest.mark.parametrize(
    "template", ALL_TEMPLATES, ids=lambda template: template.name
)


def tasks_of(template: Template, world: Desk = MINI_RETAIL, seeds: int = 12) -> Iterator[Task]:
    for split in SPLITS:
        for seed in range(seeds):
            yield draw_task(world, template, seed, split)


def score(world: Desk, task: Task, messages: list[Message]) -> dict[str, bool]:
    """The exact check of a conversation whose calls the world has answered."""
    state = task.initial_state
    for message in messages:
        for call in message.tool_calls or ():
            outcome = world.call(state, call.function.name, arguments_of(call) or {})
            state = apply_ops(state, outcome.ops)
    return check_exactly(task.check, state, messages, finished=True)


def calls_to_the_final_state(world: Desk, task: Task) -> Iterator[Message]:
    """What somebody who knows the answer would call; the words are not looked at."""
    for record_id, before in task.initial_state[world.records].items():
        after = task.check.final_state[world.records][record_id]
        if before == after:
            continue
        action = next(action for action in world.actions if leads_to(world, action, before, after))
        arguments = {world.record_id: record_id}
        if extra := world.extra_argument(action):
            arguments[extra] = after.get("paid_to", after[world.attribute])
        function = FunctionCall(action.tool, json.dumps(arguments))
        yield Message("assistant", tool_calls=[ToolCall(record_id, function)])


def leads_to(world: Desk, action: Action, before: dict[str, Any], after: dict[str, Any]) -> bool:
    if action.effect == "attribute":
        return bool(before["status"] == after["status"])
    return bool(after["status"] == action.result)


@pytest.mark.parametrize("number", range(8))
@every_template
def test_every_task_of_every_world_can_be_solved_within_its_policy(
    template: Template, number: int
) -> None:
    world = draw_world(random.Random(number)) if number else MINI_RETAIL
    for task in tasks_of(template, world, seeds=3):
        calls = list(calls_to_the_final_state(world, task))
        words = [Message("assistant", ", ".join(words)) for words in task.check.must_say]
        assert all(score(world, task, [*calls, *words]).values()), task.id
        for call in calls:
            (made,) = call.tool_calls or ()
            action = next(a for a in world.actions if a.tool == made.function.name)
            assert task.initial_state[world.records][made.id]["status"] in action.allowed


@every_template
def test_doing_nothing_solves_only_what_asks_for_nothing(template: Template) -> None:
    for task in tasks_of(template):
        idle = all(score(MINI_RETAIL, task, []).values())
        assert idle == (not task.needs_action and not task.check.must_say), task.id
        # The state alone never lets a conversation pass in which the user was cut off.
        assert not check_exactly(task.check, task.check.final_state, [], finished=False)["finished"]


def test_the_policy_leaves_no_refusal_out_of_what_must_be_said() -> None:
    for template in TEMPLATES:
        if template.name.endswith("-refused"):
            for task in tasks_of(template):
                ((cannot, status),) = task.check.must_say
                assert (cannot, task.needs_action) == ("cannot", False)
                assert status in MINI_RETAIL.statuses


def numbers_in(task: Task) -> set[int]:
    """Of the user, of the records, and of the wrong ids that the user names first."""
    spoken = " ".join(utterance.text for utterance in task.scenario.utterances)
    ids = [*task.initial_state["users"], *task.initial_state["orders"]]
    return {int(digits) for digits in re.findall(r"[a-zW]_?(\d+)\b", " ".join([*ids, spoken]))}


@settings(max_examples=60, deadline=None, database=None)
@given(st.sampled_from(TEMPLATES), st.integers(0, 10**9))
def test_no_id_of_a_train_task_is_one_of_a_held_out_task(template: Template, seed: int) -> None:
    train = numbers_in(draw_task(MINI_RETAIL, template, seed, "train"))
    held_out = numbers_in(draw_task(MINI_RETAIL, template, seed, "heldout"))
    assert len(train) >= 4
    assert all(number % HELDOUT_MODULUS != 0 for number in train)
    assert all(number % HELDOUT_MODULUS == 0 for number in held_out)


@every_template
def test_a_task_is_the_same_for_the_same_arguments_and_else_another(template: Template) -> None:
    task = draw_task(MINI_RETAIL, template, 3, "train")
    assert draw_task(MINI_RETAIL, template, 3, "train") == task
    assert draw_task(MINI_RETAIL, template, 4, "train").initial_state != task.initial_state
    assert task.check.final_state is not task.initial_state


def test_the_scripted_user_says_every_line_in_turn_and_then_goodbye() -> None:
    lines = Scenario("", (Utterance("one", "no, two"), Utterance("three")))
    history: list[Message] = []
    said = []
    while not (reply := next_message(lines, history)).done:
        said.append(reply.message)
        # What the agent does, and how often it calls, does not move the user on.
        history += [Message("user", reply.message), Message("assistant"), Message("tool", "{}")]
        history += [Message("assistant", "one")] * 2
        assert not has_finished(history)
    assert said == ["one", "no, two", "three"]
    assert reply == UserReply(FAREWELL, done=True)
    assert has_finished([*history, Message("user", reply.message)])
    assert not has_finished([*history, Message("assistant", FAREWELL)])


def retold(seed: Seed, request_seed: int) -> list[Message]:
    return retell(seed.messages, request_seed, scripted_world=True)


@pytest.mark.parametrize("seed", SHIPPED, ids=lambda seed: seed.id)
def test_a_shipped_seed_is_retold_the_same_for_a_request_and_else_differently(seed: Seed) -> None:
    tellings = [retold(seed, request) for request in range(8)]
    assert tellings[3] == retold(seed, 3)
    assert all(telling != seed.messages for telling in tellings)
    assert len({str(telling) for telling in tellings}) == len(tellings)


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield str(value)


def lost_references(seed: list[Message], told: list[Message]) -> list[tuple[str, str]]:
    """Ids in calls that stood earlier in the seed, and do not in what was told from it."""
    lost, seed_so_far, told_so_far = [], "", ""
    for old, new in zip(seed, told, strict=True):
        for old_call, new_call in zip(old.tool_calls or (), new.tool_calls or (), strict=True):
            before, after = old_call.function.arguments, new_call.function.arguments
            values = zip(leaves(json.loads(before)), leaves(json.loads(after)), strict=True)
            lost += [
                (value, now)
                for value, now in values
                if re.fullmatch(r"\w*\d\w*", value)
                and value in seed_so_far
                and now not in told_so_far
            ]
            seed_so_far, told_so_far = seed_so_far + before, told_so_far + after
        seed_so_far += f"\n{old.content}"
        told_so_far += f"\n{new.content}"
    return lost


def shape(messages: list[Message]) -> list[Any]:
    return [
        (m.role, m.tool_call_id, [(call.id, call.function.name) for call in m.tool_calls or ()])
        for m in messages
    ]


@pytest.mark.parametrize("seed", SHIPPED, ids=lambda seed: seed.id)
def test_a_retold_conversation_is_consistent_in_itself(seed: Seed) -> None:
    for request in range(10):
        told = retold(seed, request)
        assert shape(told) == shape(seed.messages)
        assert lost_references(seed.messages, told) == []
        assert apply_rules(told, LIBRARY).rejected_by is None
        asked = {call.id: arguments_of(call) or {} for m in told for call in m.tool_calls or ()}
        for message in told:
            if message.role == "tool":
                seen = json.loads(message.content or "")
                for key in seen.keys() & {"order_id", "user_id"}:
                    assert seen[key] == asked[message.tool_call_id or ""][key]


def test_real_conversations_are_retold_consistently(airline_seeds: Path) -> None:
    environment = load_environment("airline")
    for seed in load_seeds(airline_seeds):
        told = retell(seed.messages, 1, scripted_world=False)[: len(seed.messages)]
        assert shape(told) == shape(seed.messages)
        assert lost_references(seed.messages, told) == []
        before = apply_rules(seed.messages, environment)
        assert apply_rules(told, environment).rejected_by == before.rejected_by


def test_neither_shipped_seeds_nor_what_is_told_from_them_have_ids_of_held_out_tasks() -> None:
    tellings = [seed.messages for seed in SHIPPED]
    tellings += [retold(seed, request) for seed in SHIPPED for request in range(5)]
    found = re.findall(r"\b(?:W|[a-z]+_)(\d+)\b", str(tellings).replace("card_", "card "))
    numbers = [int(digits) for digits in found if len(digits) > 1]
    assert len(numbers) > 500
    assert [number for number in numbers if number % HELDOUT_MODULUS == 0] == []


def test_the_library_holds_the_world_as_the_rules_have_it() -> None:
    assert LIBRARY.tools == MINI_RETAIL.tools()
    assert LIBRARY.policy == MINI_RETAIL.policy()


def signatures(world: Desk) -> set[str]:
    """Names of the write tools, with their arguments."""
    tools = [tool["function"] for tool in world.tools()[2:]]
    return {f"{tool['name']}({', '.join(tool['parameters']['required'])})" for tool in tools}


def test_the_base_policy_never_saw_an_action_of_mini_retail() -> None:
    drawn = [signatures(draw_world(random.Random(number))) for number in range(2000)]
    assert len(set.union(*drawn)) > 300
    assert signatures(MINI_RETAIL).isdisjoint(set.union(*drawn))


def prompt(environment: dict[str, Any] | None = None, **sections: Any) -> str:
    named = {"name": "mini-retail"} | (environment or {})
    return compose({"environment": named, **sections})  # type: ignore[typeddict-item]


CALL = [Message("assistant", tool_calls=[ToolCall("c", FunctionCall("get_order", "[]"))])]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Hello!", "no <environment> section"),
        (prompt({"role": "author"}), "no <seed> section"),
        (prompt({"role": "user"}), "no <history> section"),
        (prompt({"role": "user"}, history=[]), "no <task> section"),
        (prompt({"role": "tool"}, history=CALL), "no <state> section"),
        (prompt({"role": "judge"}, history=[], task={"scenario": {"instructions": ""}}), "check"),
        (prompt({"role": "chef"}, history=[]), "unknown role 'chef'"),
        (prompt({"name": "airline", "role": "user"}, history=[]), "no rules for .*'airline'"),
        (prompt({"role": "tool"}, history=[], state={}), "does not end with a tool call"),
        (prompt({"role": "tool"}, history=CALL, state={}), "not a JSON object"),
        (prompt({"role": "user"}, history=[{"role": "king"}]), "section <history>: .*king"),
    ],
)
def test_what_the_scripted_simulator_cannot_answer_it_says(text: str, complaint: str) -> None:
    with pytest.raises(CannotAnswer, match=complaint):
        answer(text, 0)
