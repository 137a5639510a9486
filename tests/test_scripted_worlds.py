"""The scripted worlds: what their tools do, what their tasks are, and what the library holds."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.answers import answer
from simia_async.builtin.play import oracle_dialogue
from simia_async.builtin.scripted_user import FAREWELL, WAITING, next_message
from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS, draw_tasks
from simia_async.builtin.task_source import tasks_of
from simia_async.builtin.worlds.drawing import HELDOUT_MODULUS
from simia_async.builtin.worlds.engine import Change, Outcome, Refusal, ScriptedWorld, Tool, World
from simia_async.builtin.worlds.files import read_world
from simia_async.environments import (
    Environment,
    Scenario,
    Split,
    Task,
    Utterance,
    load_environment,
    load_seeds,
)
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation import Judgement, ToolReply, UserReply, answer_in_code, apply_ops
from simia_async.simulation.prompts import compose
from simia_async.synthesis.rules import apply_rules

SPLITS: tuple[Split, ...] = ("train", "heldout")
TEMPLATES = {"mini-retail": 21, "mini-airline": 12, "mini-telecom": 12, "mini-library": 14}
every_world = pytest.mark.parametrize("world", SCRIPTED_WORLDS.values(), ids=lambda w: w.name)

SHELF = World(
    "shelf",
    "Be kind.",
    {
        "get_box": Tool(
            "", ("box_id",), {"box": "boxes/{box_id}"}, returns="box", shows=("box_id", "room")
        ),
        "list_boxes": Tool("", ("room",), lists="boxes", shows=("box_id",)),
        "take": Tool(
            "",
            ("box_id", "by"),
            {"box": "boxes/{box_id}", "room": "rooms/{box.room}"},
            refuses=(
                Refusal("{room.key}", ["lost"], "no key to {box.room}"),
                Refusal("{by}", ["{box.taken_by}"], "{by} has it"),
            ),
            changes=(
                Change("/boxes/{box_id}/taken_by", "{by}"),
                Change("/rooms/{box.room}/boxes", "{room.boxes}", add=-1),
                Change("/rooms/{box.room}/visitors/-", "{by}"),
            ),
        ),
    },
)
STATE: dict[str, Any] = {
    "boxes": {
        "b1": {"box_id": "b1", "room": "attic"},
        "b2": {"box_id": "b2", "room": "cellar", "taken_by": "{by}"},
        "b3": {"box_id": "b3", "room": "attic", "taken_by": "ann"},
    },
    "rooms": {
        "attic": {"key": "here", "boxes": 2, "visitors": ["zoe"]},
        "cellar": {"key": "lost", "boxes": 1, "visitors": []},
    },
}


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("get_box", {"box_id": "b1"}, {"box_id": "b1", "room": "attic"}),
        ("list_boxes", {"room": "attic"}, [{"box_id": "b1"}, {"box_id": "b3"}]),
        ("list_boxes", {"room": "roof"}, []),
    ],
)
def test_reads_return_what_is_declared_and_change_nothing(
    tool: str, arguments: dict[str, str], expected: object
) -> None:
    assert SHELF.call(STATE, tool, arguments) == Outcome(expected)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"box_id": "b9", "by": "eve"}, "box not found"),
        ({"box_id": "b2", "by": "eve"}, "no key to cellar"),
        ({"box_id": "b3", "by": "ann"}, "ann has it"),
    ],
)
def test_a_refusal_is_an_error_and_changes_nothing(arguments: dict[str, str], error: str) -> None:
    assert SHELF.call(STATE, "take", arguments) == Outcome({"error": error}, is_error=True)


def test_a_write_follows_references_counts_and_appends() -> None:
    outcome = SHELF.call(STATE, "take", {"box_id": "b3", "by": "{box_id}"})
    assert outcome == Outcome(
        {"ok": True},
        ops=[
            # What an argument holds is data: braces in it are not filled.
            {"op": "replace", "path": "/boxes/b3/taken_by", "value": "{box_id}"},
            {"op": "replace", "path": "/rooms/attic/boxes", "value": 1},
            {"op": "add", "path": "/rooms/attic/visitors/-", "value": "{box_id}"},
        ],
    )
    assert STATE["rooms"]["attic"]["visitors"] == ["zoe"]
    assert apply_ops(STATE, outcome.ops)["rooms"]["attic"]["visitors"] == ["zoe", "{box_id}"]


def test_a_field_that_is_not_there_yet_is_added() -> None:
    state = {**STATE, "boxes": {"b1": {"box_id": "b1", "room": "attic", "taken_by": None}}}
    ops = SHELF.call(state, "take", {"box_id": "b1", "by": "eve"}).ops
    assert ops[0] == {"op": "add", "path": "/boxes/b1/taken_by", "value": "eve"}


@pytest.mark.parametrize("name", [name for name in SCRIPTED_WORLDS if name != "mini-retail"])
def test_every_hole_in_a_declaration_names_an_argument_or_a_record_found_before(name: str) -> None:
    for tool in read_world(name).declared.values():
        known = set(tool.arguments)
        for record, place in tool.finds.items():
            assert holes(place) <= known
            known.add(record)
        assert holes(str([tool.refuses, tool.changes])) <= known
        assert {tool.returns} <= known | {""}


def holes(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", text))


@every_world
def test_states_are_small_enough_for_a_prompt_to_carry_them_whole(world: ScriptedWorld) -> None:
    for task in draw_tasks(world, 4 * TEMPLATES[world.name], split="train"):
        assert len(json.dumps(task.initial_state)) < 3000


def test_no_two_flights_of_a_day_cost_the_same() -> None:
    # Of six prices out of 3,060 two would else be the same in one of 200 tasks.
    for task in draw_tasks(SCRIPTED_WORLDS["mini-airline"], 3_000, split="train", seed=5_000_000):
        prices = [flight["price"] for flight in task.initial_state["flights"].values()]
        assert len(set(prices)) == len(prices), task.id


@every_world
def test_the_library_holds_the_world_as_its_rules_have_it(world: ScriptedWorld) -> None:
    environment = load_environment(world.name)
    assert environment.policy == world.policy()
    assert environment.tools == world.tools()


@every_world
def test_the_seeds_of_the_library_are_sound_and_none_is_of_a_held_out_task(
    world: ScriptedWorld,
) -> None:
    environment = load_environment(world.name)
    assert environment.seeds_file is not None
    seeds = load_seeds(environment.seeds_file)
    assert len(seeds) >= 10
    for seed in seeds:
        assert apply_rules(seed.messages, environment).messages == seed.messages
        assert ids_in(str(seed.messages)) != set()
        assert not any(is_held_out(id_) for id_ in ids_in(str(seed.messages)))


def ids_in(text: str) -> set[str]:
    """Every id of a record or a person."""
    return set(re.findall(r"\b(?:[A-Z]\d{3,4}|(?!card_|call_)[a-z]+_\d{2})\b", text))


def is_held_out(id_: str) -> bool:
    return int(re.sub(r"\D", "", id_)) % HELDOUT_MODULUS == 0


@every_world
@settings(max_examples=8, deadline=None, database=None)
@given(seed=st.integers(0, 10**6))
def test_no_id_of_a_train_task_is_one_of_a_held_out_task(world: ScriptedWorld, seed: int) -> None:
    count = TEMPLATES[world.name]
    for split in SPLITS:
        ids = ids_in(str(draw_tasks(world, count, split=split, seed=seed)))
        assert len(ids) > count
        assert {is_held_out(id_) for id_ in ids} == {split == "heldout"}


@every_world
def test_tasks_are_the_same_again_and_every_template_comes_in_turn(world: ScriptedWorld) -> None:
    count = TEMPLATES[world.name]
    tasks = draw_tasks(world, 2 * count, split="train", seed=3)
    assert tasks == draw_tasks(world, 2 * count, split="train", seed=3)
    assert [t.template for t in tasks[:count]] == [t.template for t in tasks[count:]]
    assert len({task.template for task in tasks}) == count
    assert len({task.id for task in tasks}) == len({str(task.initial_state) for task in tasks})
    assert tasks[count:] == draw_tasks(world, count, split="train", seed=4)


@every_world
def test_tasks_need_action_if_and_only_if_the_state_has_to_change(world: ScriptedWorld) -> None:
    for split in SPLITS:
        tasks = draw_tasks(world, 3 * TEMPLATES[world.name], split=split)
        for task in tasks:
            assert task.check is not None
            assert task.needs_action == (task.check.final_state != task.initial_state), task.id
        assert {task.needs_action for task in tasks} == {True, False}


def prompt(world: ScriptedWorld, role: str, **sections: Any) -> str:
    return compose({"environment": {"name": world.name, "role": role}, **sections})  # type: ignore[typeddict-item]


@every_world
def test_the_scripted_simulator_plays_user_tool_and_judge(world: ScriptedWorld) -> None:
    environment = load_environment(world.name)
    for task in tasks_of(environment, TEMPLATES[world.name], split="heldout", seed=1):
        assert task.check is not None
        dialogue, state = oracle_dialogue(world, task)[1:], task.initial_state
        for at, message in enumerate(dialogue):
            before = dialogue[:at]
            if message.role == "user":
                said = answer(prompt(world, "user", task=told(task), history=before), 0)
                assert said == UserReply(message.content or "", done=False)
            for call in message.tool_calls or ():
                assert answer_in_code(environment, call) is None
                history = [*before, Message("assistant", tool_calls=[call])]
                seen = answer(prompt(world, "tool", state=state, history=history), 0)
                assert isinstance(seen, ToolReply)
                assert seen.observation == json.loads(dialogue[at + 1].content or "")
                state = apply_ops(state, seen.ops)
        history = [*dialogue, Message("user", FAREWELL)]
        verdict = answer(
            prompt(world, "judge", task=told(task), state={"final": state}, history=history), 0
        )
        assert isinstance(verdict, Judgement)
        assert verdict.reward == 1.0


def told(task: Task) -> dict[str, Any]:
    return {"scenario": task.scenario, "check": task.check}


def test_a_world_that_only_has_the_name_of_a_scripted_one_is_refused() -> None:
    theirs = Environment("mini-library", "Be kind.", SHELF.tools())
    with pytest.raises(Exception, match="'mini-library' has the name of a scripted world"):
        tasks_of(theirs, 1, split="train", seed=0)


RESERVED = Scenario("", (Utterance("Cancel it."), Utterance("R1.", when=("id", "number"))))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Which id?", "R1."),
        ("What is the NUMBER, please?", "R1."),
        ("I did that.", WAITING),
        ("<think>ask for the id</think>Hm.", WAITING),
    ],
)
def test_the_user_tells_only_what_the_agent_asks_for(reply: str, said: str) -> None:
    history = [Message("user", "Cancel it."), Message("assistant", reply)]
    assert next_message(RESERVED, history) == UserReply(said, done=False)


def test_the_user_waits_as_long_as_they_are_not_asked_and_then_goes_on() -> None:
    history: list[Message] = []
    said = []
    for reply in ("Hm.", "Well.", "Which id?", "Done."):
        said.append(next_message(RESERVED, history).message)
        call = ToolCall("c", FunctionCall("ask", "{}"))
        history += [
            Message("user", said[-1]),
            # What is written beside a call is not said to the user.
            Message("assistant", "the id", tool_calls=[call]),
            Message("tool", "{}", tool_call_id="c"),
            Message("assistant", reply),
        ]
    assert said == ["Cancel it.", WAITING, WAITING, "R1."]
    assert next_message(RESERVED, history) == UserReply(FAREWELL, done=True)
