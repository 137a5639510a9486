"""Grounded worlds of a group, killed anywhere and restored from what was stored: as if never."""

from collections import defaultdict
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import FactRecord, StoreError, TurnRecord

from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.grounding import GroundedWorld, Observation, SharedFacts
from simia_async.simulation.replies import ToolReply
from tests.test_grounding_world import ENVIRONMENT, STATE, Teller, add, call, replace

ENVIRONMENT_WITH_CODE = ENVIRONMENT.with_functions(
    {"ship": lambda state: ToolReply("ok", ops=[add(f"/parcels/T{len(state)}", "Bonn")])}
)

STEP = st.tuples(
    st.integers(1, 3),
    st.sampled_from(["get_order", "get_order", "search", "cancel_order", "note", "odd", "ship"]),
    st.sampled_from(["W1", "W2", "W3", "W4"]),
)
Step = tuple[int, str, str]


def replies(number: int, name: str, order_id: str, state: dict[str, Any]) -> list[Any]:
    """What the simulator says at a step, and if that is refused: other things each time."""
    path = f"/orders/{order_id}"
    order = state["orders"].get(order_id)
    missing = {"observation": {"error": f"none {number}"}, "is_error": True}
    if name == "get_order":
        return [{"id": order_id, "total": number, **(order or {})}, missing]
    if name == "search":
        new = "seen" not in (order or {}) and number % 2
        ops = [add(f"{path}/seen", number)] if new else []
        return [{"observation": [order_id, number], "ops": ops}, [order_id, number]]
    if order is None:
        return [missing]
    if name == "cancel_order":
        op = add(f"{path}/status", f"cancelled {number}")
    elif name == "note":
        op = {"op": "remove", "path": path}
    else:
        op = replace(path, {"id": order_id, "made": number})
    return [{"observation": number, "ops": [op] if number % 3 or name == "cancel_order" else []}]


class Run:
    """Three rollouts of one group, and all that is stored of them."""

    def __init__(self, group_id: int | None) -> None:
        self.group_id = group_id
        self.group_facts: list[FactRecord] = []
        self.own_facts: dict[int, list[FactRecord]] = defaultdict(list)
        self.turns: dict[int, list[TurnRecord]] = defaultdict(list)
        self._begin()

    def _begin(self) -> None:
        self.shared = SharedFacts(self.group_id, STATE, self._commit)
        self.worlds = {
            member: GroundedWorld(ENVIRONMENT_WITH_CODE, self.shared, member)
            for member in (1, 2, 3)
        }

    async def _commit(self, fact: FactRecord) -> None:
        self.group_facts.append(fact)

    def restored(self) -> "Run":
        """The run of another session, from what this one stored."""
        other = Run(self.group_id)
        other.group_facts = list(self.group_facts)
        other.shared.restore(self.group_facts)
        for member, world in other.worlds.items():
            other.own_facts[member] = list(self.own_facts[member])
            other.turns[member] = list(self.turns[member])
            world.restore(other.turns[member], other.own_facts[member])
        return other

    async def play(self, number: int, step: Step) -> Observation:
        member, name, order_id = step
        world = self.worlds[member]
        arguments = {} if name == "ship" else {"id": order_id}
        made = call(name, **arguments)
        teller = Teller(*replies(number, name, order_id, world.state))
        observation = await world.answer(made, teller, [])
        self.store(member, made, observation)
        return observation

    def store(self, member: int, made: ToolCall, observation: Observation) -> None:
        said = Message("assistant", tool_calls=[made])
        heard = Message("tool", observation.text, tool_call_id=made.id)
        turns = self.turns[member]
        turns.append(TurnRecord(member, len(turns), "assistant", said.as_wire()))
        turns.append(
            TurnRecord(
                member,
                len(turns),
                "tool",
                heard.as_wire(),
                observation.source,
                observation.is_error,
                observation.ops,
                facts=observation.facts,
            )
        )
        self.own_facts[member] += observation.records


@given(st.lists(STEP, max_size=30), st.integers(0, 30), st.sampled_from([1, None]))
@settings(deadline=None, database=None, max_examples=200)
def test_worlds_that_were_killed_go_on_as_those_that_were_not(
    steps: list[Step], killed_after: int, group_id: int | None
) -> None:
    async def compare() -> None:
        run = Run(group_id)
        for number, step in enumerate(steps[:killed_after]):
            await run.play(number, step)
        other = run.restored()
        for member, world in run.worlds.items():
            assert other.worlds[member].state == world.state
        for number, step in enumerate(steps[killed_after:], killed_after):
            assert told(await other.play(number, step)) == told(await run.play(number, step))
        assert [f.call for f in other.group_facts] == [f.call for f in run.group_facts]

    anyio.run(compare)


def told(observation: Observation) -> Any:
    """An observation without the moment at which its facts were made."""
    records = [msgspec.structs.replace(fact, created_at=0) for fact in observation.records]
    return msgspec.structs.replace(observation, records=records)


async def test_a_branch_begins_with_as_many_facts_as_it_did() -> None:
    run = Run(1)
    await run.play(1, (1, "search", "W3"))
    await run.play(2, (1, "cancel_order", "W1"))
    await run.play(3, (2, "search", "W4"))
    state = run.restored().worlds[1].state
    assert state["orders"].keys() == {"W1", "W2", "W3"}
    assert state == run.worlds[1].state


async def test_a_fact_that_is_missing_in_the_store_is_named() -> None:
    run = Run(None)
    await run.play(0, (1, "search", "W1"))
    run.own_facts[1].clear()
    with pytest.raises(StoreError) as caught:
        run.restored()
    assert str(caught.value) == (
        'trajectory 1, turn 1: the fact that it made of search {"id":"W1"} is missing'
    )


async def test_calls_that_code_refused_and_calls_without_an_answer_are_passed_over() -> None:
    run = Run(1)
    refused = Observation({"error": "unknown tool"}, '{"error": "unknown tool"}', True, "code")
    run.store(1, ToolCall("call_1", FunctionCall("teleport", "not JSON")), refused)
    wire = Message("assistant", tool_calls=[call("search")]).as_wire()
    run.turns[1].append(TurnRecord(1, 2, "assistant", wire))
    assert run.restored().worlds[1].state is STATE
