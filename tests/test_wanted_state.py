"""What a world makes up when it is looked at does not count when its state is checked."""

from typing import Any

import msgspec
import pytest
from simia_store import FactRecord

from simia_async.environments import Check, Environment, Scenario, Task
from simia_async.environments.tool_effects import ToolEffect
from simia_async.judging import wanted_state
from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation.grounding import GroundedWorld, SharedFacts
from simia_async.simulation.replies import ToolReply

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
        },
    }
    for name in ("get_order", "cancel_order")
]
SHOP = Environment(
    "shop",
    "Be kind.",
    TOOLS,
    initial_state={"orders": {"A1": {"status": "pending"}}},
    effects={"get_order": ToolEffect("read"), "cancel_order": ToolEffect("write")},
)
LOOKED_UP = (
    '{"observation": {"status": "packed"}, "ops": '
    '[{"op": "add", "path": "/orders/B2", "value": {"status": "packed"}}]}'
)
CANCELLED = (
    '{"observation": "done", "ops": '
    '[{"op": "replace", "path": "/orders/%s/status", "value": "cancelled"}]}'
)


def task_that_wants(final_state: dict[str, Any]) -> Task:
    return Task(
        id="t",
        environment="shop",
        split="train",
        scenario=Scenario("Ask."),
        initial_state={},
        needs_action=True,
        check=Check(final_state),
    )


def call(tool: str, order: str) -> ToolCall:
    arguments = msgspec.json.encode({"order": order}).decode()
    return ToolCall("c", FunctionCall(tool, arguments))


async def commit(*_: Any) -> None: ...


async def answer(world: GroundedWorld, made: ToolCall, said: str) -> None:
    async def ask(_: object, read: Any) -> ToolReply:
        reply: ToolReply = read(said)
        return reply

    await world.answer(made, ask, [])


@pytest.mark.parametrize("group", [None, 1])
async def test_facts_of_whoever_told_them_do_not_count(group: int | None) -> None:
    facts = SharedFacts(group, SHOP.state_with({}), commit)
    mine, other = GroundedWorld(SHOP, facts, 1), GroundedWorld(SHOP, facts, 2)
    await answer(mine, call("cancel_order", "A1"), CANCELLED % "A1")
    await answer(mine, call("get_order", "B2"), LOOKED_UP)
    await answer(other, call("get_order", "B2"), LOOKED_UP)
    done = task_that_wants({"orders": {"A1": {"status": "cancelled"}}})
    assert mine.state == wanted_state(SHOP, done, mine.facts)
    assert other.state != wanted_state(SHOP, done, other.facts)
    idle = task_that_wants({})
    assert other.state == wanted_state(SHOP, idle, other.facts)


async def test_a_change_of_what_was_made_up_counts() -> None:
    world = GroundedWorld(SHOP, SharedFacts(1, SHOP.state_with({}), commit), 1)
    await answer(world, call("get_order", "B2"), LOOKED_UP)
    await answer(world, call("cancel_order", "B2"), CANCELLED % "B2")
    assert world.state != wanted_state(SHOP, task_that_wants({}), world.facts)


def test_what_has_no_place_in_the_wanted_state_is_left_out() -> None:
    op = {"op": "add", "path": "/users/u/name", "value": "Mia"}
    fact = FactRecord(None, 1, "get_user {}", "{}", ops=[op])
    wanted = wanted_state(SHOP, task_that_wants({}), [fact])
    assert wanted == SHOP.initial_state
