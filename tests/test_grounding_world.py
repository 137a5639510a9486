"""Grounded worlds: facts of a group, branches of its rollouts, and answers that are refused."""

from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest
from simia_store import CallRecord, FactRecord

from simia_async.environments import Environment
from simia_async.environments.tool_effects import ToolEffect
from simia_async.errors import BadReply
from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation.grounding import (
    GroundedWorld,
    Observation,
    SharedFacts,
    ToolError,
    TranscriptWorld,
)
from simia_async.simulation.replies import ToolReply

NAMES = ("get_order", "search", "cancel_order", "ship", "note", "odd", "count_cash")
EFFECTS = {
    "get_order": ToolEffect("read", "/orders/{id}"),
    "search": ToolEffect("read"),
    "cancel_order": ToolEffect("write", changes=("/orders/{id}/status", "/orders/{id}/log")),
    "ship": ToolEffect("write", changes=("/parcels", "/orders/*/status")),
    "note": ToolEffect("write"),
    "count_cash": ToolEffect("read", "/till/cash"),
}
SCHEMA = {
    "properties": {
        "orders": {
            "additionalProperties": {
                "properties": {"status": {"type": "string"}, "total": {"type": "number"}},
            }
        }
    }
}
STATE: dict[str, Any] = {
    "orders": {"W1": {"id": "W1", "status": "pending"}, "W2": {"id": "W2", "status": "sent"}}
}
ENVIRONMENT = Environment(
    "shop",
    "Be kind.",
    [{"function": {"name": name}} for name in NAMES],
    initial_state=STATE,
    state_schema=SCHEMA,
    effects=EFFECTS,
)


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("call_0", FunctionCall(name, msgspec.json.encode(arguments).decode()))


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


class Teller:
    """An LLM that gives one answer after another, and keeps what it was told and complained of."""

    def __init__(self, *answers: Any) -> None:
        self.shown: list[Any] = []
        self.complaints: list[str] = []
        self._answers = list(answers)

    async def __call__(self, state: Any, read: Callable[[str], ToolReply]) -> ToolReply:
        self.shown.append(state)
        await anyio.lowlevel.checkpoint()
        while True:
            answer = self._answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if not isinstance(answer, dict) or "observation" not in answer:
                answer = {"observation": answer}
            try:
                return read(msgspec.json.encode(answer).decode())
            except msgspec.ValidationError as error:
                self.complaints.append(str(error))
                if not self._answers:
                    raise BadReply(str(error)) from error


class Group:
    """Facts of a group, with what was committed."""

    def __init__(
        self, environment: Environment = ENVIRONMENT, state: Any = STATE, group_id: int | None = 1
    ) -> None:
        self.environment = environment
        self.committed: list[Any] = []
        self.facts = SharedFacts(group_id, state, self._commit)

    async def _commit(self, *records: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.committed += records

    def world(self, trajectory_id: int = 1) -> GroundedWorld:
        return GroundedWorld(self.environment, self.facts, trajectory_id)


async def ask(world: GroundedWorld, asked: ToolCall, *answers: Any) -> Observation:
    return await world.answer(asked, Teller(*answers), [])


async def test_code_answers_what_the_state_holds() -> None:
    observation = await ask(Group().world(), call("get_order", id="W1"))
    assert observation.value == {"id": "W1", "status": "pending"}
    assert observation.text == '{"id": "W1", "status": "pending"}'
    assert (observation.source, observation.ops, observation.records) == ("fact", [], [])


async def test_what_one_rollout_was_told_all_of_its_group_are_told() -> None:
    group = Group()
    told = await ask(group.world(1), call("search", q="x", n=1), {"found": ["W2"]})
    assert (told.source, told.facts) == ("llm", 1)
    again = await ask(group.world(2), call("search", n=1, q="x"))
    assert (again.text, again.source, again.facts) == (told.text, "fact", 1)
    [fact] = group.committed
    assert (fact.group_id, fact.trajectory_id) == (1, None)
    assert (fact.call, fact.observation) == ('search {"n":1,"q":"x"}', '{"found": ["W2"]}')


async def test_not_found_stays_not_found() -> None:
    group = Group()
    missing = {"observation": {"error": "no such order"}, "is_error": True}
    assert (await ask(group.world(1), call("get_order", id="W9"), missing)).is_error
    again = await ask(group.world(2), call("get_order", id="W9"))
    assert (again.is_error, again.value, again.source) == (
        True,
        {"error": "no such order"},
        "fact",
    )
    assert group.facts.state is STATE


async def test_what_a_look_up_returned_is_put_into_the_state() -> None:
    group = Group()
    told = await ask(group.world(), call("get_order", id="W3"), {"id": "W3", "status": "new"})
    assert told.ops == [add("/orders/W3", {"id": "W3", "status": "new"})]
    assert group.facts.state["orders"].keys() == {"W1", "W2", "W3"}
    assert STATE["orders"].keys() == {"W1", "W2"}


async def test_what_a_look_up_told_in_part_is_asked_for_and_completed() -> None:
    group = Group()
    hit = {"observation": ["W3"], "ops": [add("/orders/W3/total", 5)]}
    told = await ask(group.world(), call("search", q="x"), hit)
    assert told.ops == [add("/orders/W3", {}), add("/orders/W3/total", 5)]
    teller = Teller({"id": "W3", "total": 6}, {"id": "W3", "total": 5})
    whole = await group.world().answer(call("get_order", id="W3"), teller, [])
    assert teller.complaints == [
        "the observation says 6 at /orders/W3/total of the state, where 5 is"
    ]
    assert whole.ops == [add("/orders/W3/id", "W3")]


async def test_what_the_schema_has_no_room_for_is_kept_as_a_fact_alone() -> None:
    group = Group()
    odd = {"id": "W3", "status": 7}
    told = await ask(group.world(1), call("get_order", id="W3"), odd)
    assert (told.value, told.ops, group.facts.state) == (odd, [], STATE)
    assert (await ask(group.world(2), call("get_order", id="W3"))).value == odd


async def test_a_rollout_that_changes_something_has_a_world_of_its_own_from_then_on() -> None:
    group = Group()
    mine, other = group.world(1), group.world(2)
    cancelled = {"observation": "ok", "ops": [replace("/orders/W1/status", "cancelled")]}
    changed = await ask(mine, call("cancel_order", id="W1"), cancelled)
    assert (changed.source, changed.facts, changed.records) == ("llm", 0, [])
    assert changed.ops == cancelled["ops"]
    assert (await ask(mine, call("get_order", id="W1"))).value["status"] == "cancelled"
    assert (await ask(other, call("get_order", id="W1"))).value["status"] == "pending"
    told = await ask(mine, call("search", q="x"), "mine")
    assert [(fact.group_id, fact.trajectory_id) for fact in told.records] == [(None, 1)]
    assert (await ask(mine, call("search", q="x"))).source == "fact"
    assert (await ask(other, call("search", q="x"), "theirs")).value == "theirs"
    assert [fact.observation for fact in group.committed] == ['"theirs"']


async def test_a_change_forgets_the_answers_that_speak_of_what_it_changed_and_no_others() -> None:
    world = Group().world()
    asked = {"of W1": "W1", "of W2": "W2", "of neither": "x"}
    for said, word in asked.items():
        await ask(world, call("search", q=word), said)
    await ask(world, call("search", q="y"), {"found": [{"W1": 3}]})
    cancelled = {"observation": "ok", "ops": [replace("/orders/W1/status", "cancelled")]}
    await ask(world, call("cancel_order", id="W1"), cancelled)
    for said, word in asked.items():
        now = await ask(world, call("search", q=word), "asked")
        assert now.value == ("asked" if word == "W1" else said)
    assert (await ask(world, call("search", q="y"), "asked")).value == "asked"


async def test_a_change_outside_of_all_entities_forgets_what_names_it() -> None:
    world = Group(state={"till": {"cash": 5}, "orders": {}}).world()
    await ask(world, call("search", q="till"), {"cash": 5})
    await ask(world, call("search", q="other"), {"weather": "fine"})
    await ask(world, call("note"), {"observation": "ok", "ops": [replace("/till/cash", 4)]})
    assert (await ask(world, call("search", q="till"), {"cash": 4})).value == {"cash": 4}
    assert (await ask(world, call("search", q="other"))).source == "fact"


async def test_a_change_forgets_what_a_look_up_returned_of_the_changed_part() -> None:
    world = Group().world()
    assert (await ask(world, call("count_cash"), 5)).ops == []
    await ask(world, call("note"), {"observation": "ok", "ops": [add("/till", {"cash": 4})]})
    assert (await ask(world, call("count_cash"))).value == 4


async def test_code_answers_what_was_told_or_made_as_a_whole_after_it_was_changed() -> None:
    world = Group().world()
    await ask(world, call("get_order", id="W3"), {"id": "W3", "status": "new"})
    cancelled = {"observation": "ok", "ops": [replace("/orders/W3/status", "cancelled")]}
    await ask(world, call("cancel_order", id="W3"), cancelled)
    assert (await ask(world, call("get_order", id="W3"))).value["status"] == "cancelled"
    made = {"observation": "ok", "ops": [add("/orders/W4", {"id": "W4"})]}
    await ask(world, call("note"), made)
    assert (await ask(world, call("get_order", id="W4"))).value == {"id": "W4"}


async def test_what_was_removed_stays_so_until_a_change_makes_it_again() -> None:
    world = Group().world()
    gone = {"observation": "ok", "ops": [{"op": "remove", "path": "/orders/W1"}]}
    await ask(world, call("note", id="W1"), gone)
    missing = {"observation": {"error": "no such order"}, "is_error": True}
    teller = Teller({"id": "W1", "status": "pending"}, missing)
    assert (await world.answer(call("get_order", id="W1"), teller, [])).is_error
    assert teller.complaints == ["/orders/W1 of the state was removed, and stays so"]
    made = {"observation": "ok", "ops": [add("/orders/W1", {"id": "W1"})]}
    await ask(world, call("note", id="W1"), made)
    assert (await ask(world, call("get_order", id="W1"))).value == {"id": "W1"}
    more = {"observation": "ok", "ops": [add("/orders/W1/total", 5)]}
    assert (await ask(world, call("search"), more)).ops == more["ops"]


REFUSED: dict[str, tuple[ToolCall, Any, str]] = {
    "a look-up that changes": (
        call("search", q="x"),
        {"observation": 1, "ops": [replace("/orders/W1/status", "lost")]},
        "`ops`: replace /orders/W1/status changes what is; a look-up may only add",
    ),
    "a look-up that adds where something is": (
        call("search", q="x"),
        {"observation": 1, "ops": [add("/orders/W1/status", "lost")]},
        "`ops`: add /orders/W1/status changes what is",
    ),
    "a look-up that replaces everything": (
        call("search", q="x"),
        {"observation": 1, "ops": [add("", {})]},
        "`ops`: add  changes what is",
    ),
    "a look-up with a path that is none": (
        call("search", q="x"),
        {"observation": 1, "ops": [add("orders", {})]},
        "`ops`: add orders has no JSON pointer in `path`",
    ),
    "an operation without a path": (
        call("cancel_order", id="W1"),
        {"observation": 1, "ops": [{"op": "add", "value": 1}]},
        "`ops`: add None has no JSON pointer in `path`",
    ),
    "a change of something else": (
        call("cancel_order", id="W1"),
        {"observation": 1, "ops": [replace("/orders/W2/status", "lost")]},
        "`ops`: replace /orders/W2/status is beyond what this tool changes: "
        "/orders/W1/status, /orders/W1/log",
    ),
    "a change of everything": (
        call("cancel_order", id="*"),
        {"observation": 1, "ops": [replace("/orders/W2/status", "lost")]},
        "is beyond what this tool changes: nothing, with these arguments",
    ),
    "a change of the whole state": (
        call("note"),
        {"observation": 1, "ops": [replace("", 7)]},
        "`ops`: replace : simulator, role tool: its change replaces the whole state",
    ),
    "a move from somewhere else": (
        call("cancel_order", id="W1"),
        {
            "observation": 1,
            "ops": [{"op": "move", "from": "/orders/W2/status", "path": "/orders/W1/status"}],
        },
        "is beyond what this tool changes",
    ),
    "a change that is forgotten": (
        call("cancel_order", id="W1"),
        {"observation": {"status": "cancelled"}},
        "`ops` are missing: this tool changes /orders/W1/status, /orders/W1/log, or returns",
    ),
    "a change that only tests": (
        call("cancel_order", id="W1"),
        {
            "observation": 1,
            "ops": [{"op": "test", "path": "/orders/W1/status", "value": "pending"}],
        },
        "`ops` are missing",
    ),
    "a change of nothing that is": (
        call("cancel_order", id="W7"),
        {"observation": 1, "ops": [replace("/orders/W7/status", "lost")]},
        "`ops`: replace /orders/W7/status: ",
    ),
    "a change that does not fit the schema": (
        call("cancel_order", id="W1"),
        {"observation": 1, "ops": [replace("/orders/W1/status", 7)]},
        '`ops`: the state would not fit its schema at /orders/W1/status: 7 is not of type "string"',
    ),
    "a change that is told otherwise": (
        call("cancel_order", id="W1"),
        {
            "observation": {"id": "W1", "status": "pending"},
            "ops": [replace("/orders/W1/status", "cancelled")],
        },
        'the observation says "pending" at /orders/W1/status of the state, where "cancelled" is',
    ),
    "an error that changes": (
        call("cancel_order", id="W1"),
        {"observation": 1, "is_error": True, "ops": [replace("/orders/W1/status", "lost")]},
        "`ops` of an error: a call that fails changes nothing",
    ),
    "a look-up that contradicts the state": (
        call("search", q="x"),
        {"observation": [{"id": "W2", "status": "lost"}]},
        'the observation says "lost" at /orders/W2/status of the state, where "sent" is',
    ),
    "an answer that is no reply": (
        call("search", q="x"),
        {"observation": 1, "is_error": "perhaps"},
        "Expected `bool`",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_false_answer_is_complained_of_in_a_sentence_and_leaves_no_trace(what: str) -> None:
    asked, answer, complaint = REFUSED[what]
    group = Group()
    world = group.world()
    teller = Teller(answer)
    with pytest.raises(BadReply):
        await world.answer(asked, teller, [])
    [sentence] = teller.complaints
    assert complaint in sentence
    assert "\n" not in sentence
    assert (world.state, group.committed, group.facts.facts) == (STATE, [], [])


async def test_a_change_may_make_the_objects_it_adds_to_where_it_may_change_them() -> None:
    world = Group().world()
    shipped = {"observation": "ok", "ops": [add("/parcels/T1/to", "Bonn")]}
    observation = await ask(world, call("ship"), shipped)
    assert observation.ops == [
        add("/parcels", {}),
        add("/parcels/T1", {}),
        add("/parcels/T1/to", "Bonn"),
    ]
    logged = {"observation": "ok", "ops": [add("/orders/W1/log/-", "cancelled")]}
    assert (await ask(world, call("cancel_order", id="W1"), logged)).ops[0] == add(
        "/orders/W1/log", []
    )


async def test_a_tool_that_is_not_declared_is_told_by_what_it_did() -> None:
    group = Group()
    await ask(group.world(1), call("odd"), "a look-up")
    assert (await ask(group.world(2), call("odd"))).value == "a look-up"
    world = group.world(3)
    changed = {"observation": "ok", "ops": [replace("/orders/W1/status", "odd")]}
    assert (await ask(world, call("odd", n=1), changed)).ops == changed["ops"]
    assert world.state["orders"]["W1"]["status"] == "odd"
    assert group.facts.state is STATE
    assert (await ask(group.world(4), call("odd", n=1), "asked")).source == "llm"


async def test_a_rollout_without_a_group_keeps_its_facts_for_itself() -> None:
    group = Group(group_id=None)
    mine, other = group.world(1), group.world(2)
    told = await ask(mine, call("search", q="x"), "mine")
    assert [fact.trajectory_id for fact in told.records] == [1]
    assert (await ask(other, call("search", q="x"), "theirs")).value == "theirs"
    assert group.committed == []


async def test_a_prompt_carries_the_state_and_a_world_of_transcripts_carries_none() -> None:
    teller = Teller("told", "told otherwise")
    await Group().world().answer(call("search", q="x"), teller, [])
    world = TranscriptWorld()
    observation = await world.answer(call("search", q="x"), teller, [])
    assert teller.shown == [STATE, None]
    assert (observation.value, observation.source, observation.ops) == (
        "told otherwise",
        "llm",
        [],
    )


# --- one asks while the others wait


async def test_those_who_want_the_same_wait_for_the_one_who_asks() -> None:
    group = Group()
    teller = Teller("told")
    said = []

    async def play(member: int) -> None:
        said.append(await group.world(member).answer(call("search", q="x"), teller, []))

    async with anyio.create_task_group() as members:
        for member in range(8):
            members.start_soon(play, member)
    assert [each.value for each in said] == ["told"] * 8
    assert sorted(each.source for each in said) == ["fact"] * 7 + ["llm"]
    assert len(group.committed) == 1


async def test_if_the_one_who_asks_fails_the_next_asks() -> None:
    group = Group()
    teller = Teller(BadReply("nonsense"), "told")
    said: list[Any] = []

    async def play(member: int) -> None:
        try:
            said.append((await group.world(member).answer(call("search"), teller, [])).value)
        except BadReply as error:
            said.append(str(error))

    async with anyio.create_task_group() as members:
        for member in range(3):
            members.start_soon(play, member)
    assert sorted(said) == ["nonsense", "told", "told"]
    assert len(group.committed) == 1


async def test_if_the_one_who_asks_is_cancelled_the_next_asks() -> None:
    group = Group()
    begun = anyio.Event()

    async def ask_for_ever(state: Any, read: Any) -> ToolReply:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    said: list[Observation] = []

    async def play() -> None:
        said.append(await ask(group.world(2), call("search"), "told"))

    async with anyio.create_task_group() as members:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as first:
                first.start_soon(group.world(1).answer, call("search"), ask_for_ever, [])
                await begun.wait()
                members.start_soon(play)
                await anyio.wait_all_tasks_blocked()
                assert said == []
                scope.cancel()
    assert [each.value for each in said] == ["told"]
    assert group.facts.facts == group.committed


async def test_a_commit_that_has_begun_counts_though_its_rollout_is_cancelled() -> None:
    committing = anyio.Event()
    go_on = anyio.Event()
    committed = []

    async def commit(*records: Any) -> None:
        committing.set()
        await go_on.wait()
        committed.extend(records)

    facts = SharedFacts(1, STATE, commit)
    world = GroundedWorld(ENVIRONMENT, facts, 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.answer, call("search"), Teller("told"), [])
        await committing.wait()
        assert facts.known == {}
        tasks.cancel_scope.cancel()
        go_on.set()
    assert facts.facts == committed
    assert len(committed) == 1


async def test_the_calls_made_for_a_fact_are_committed_with_it_and_only_once() -> None:
    group = Group()
    spent = CallRecord(1, "tool", "e", "m", 1, "ok", 0.1)
    ledger = [spent]
    await group.world().answer(call("search"), Teller("told"), ledger)
    assert ledger == []
    assert group.committed[1:] == [spent]
    ledger = [spent]
    changed = {"observation": "ok", "ops": [replace("/orders/W1/status", "cancelled")]}
    await group.world().answer(call("cancel_order", id="W1"), Teller(changed), ledger)
    assert ledger == [spent]


async def test_an_answer_that_another_fact_has_made_false_meanwhile_is_asked_for_again() -> None:
    group = Group()
    order = {"id": "W3", "status": "new"}

    async def slow(state: Any, read: Callable[[str], ToolReply]) -> ToolReply:
        asked.append(state)
        status = state["orders"].get("W3", {"status": "lost"})["status"]
        hit = [{"id": "W3", "status": status}]
        ops = [] if "W3" in state["orders"] else [add("/orders/W3", hit[0])]
        reply = read(msgspec.json.encode({"observation": hit, "ops": ops}).decode())
        if len(asked) == 1:
            await ask(group.world(2), call("get_order", id="W3"), order)
        return reply

    asked: list[Any] = []
    told = await group.world(1).answer(call("search"), slow, [])
    assert [("W3" in state["orders"]) for state in asked] == [False, True]
    assert told.value == [order]
    assert [fact.call for fact in group.committed] == ['get_order {"id":"W3"}', "search {}"]


# --- tools that Python answers


async def in_python(function: Callable[..., Any], name: str = "odd", **arguments: Any) -> Any:
    environment = ENVIRONMENT.with_functions({name: function})
    world = Group(environment).world()
    return world, await ask(world, call(name, **arguments))


async def test_a_function_answers_its_tool_with_the_state_at_hand() -> None:
    def count(state: dict[str, Any], of: str) -> int:
        return len(state[of])

    _, observation = await in_python(count, of="orders")
    assert (observation.value, observation.source, observation.is_error) == (2, "function", False)


async def test_a_function_may_wait_and_may_change_the_state() -> None:
    async def lose(state: dict[str, Any]) -> ToolReply:
        await anyio.lowlevel.checkpoint()
        return ToolReply("ok", ops=[replace("/orders/W1/status", "lost")])

    world, observation = await in_python(lose)
    assert observation.ops == [replace("/orders/W1/status", "lost")]
    assert world.state["orders"]["W1"]["status"] == "lost"


async def test_a_function_may_fail_as_a_real_tool_does() -> None:
    def refuse(state: dict[str, Any]) -> None:
        raise ToolError("closed on Sundays")

    _, observation = await in_python(refuse)
    assert (observation.value, observation.is_error) == ({"error": "closed on Sundays"}, True)


def broken(state: dict[str, Any]) -> Any:
    return state["nothing"]


def meddling(state: dict[str, Any]) -> ToolReply:
    return ToolReply("ok", ops=[replace("/orders/W1/status", "lost")])


def forgetful(state: dict[str, Any]) -> str:
    return "ok"


@pytest.mark.parametrize(
    ("function", "name", "complaint"),
    [
        (broken, "odd", "function of tool odd: KeyError('nothing')"),
        (meddling, "search", "function of tool search: `ops` of a tool that only reads"),
        (forgetful, "ship", "function of tool ship: `ops` are missing: this tool changes /parcels"),
    ],
)
async def test_a_function_that_breaks_or_meddles_is_named(
    function: Callable[..., Any], name: str, complaint: str
) -> None:
    with pytest.raises(BadReply) as caught:
        await in_python(function, name)
    assert str(caught.value).startswith(complaint)


async def test_functions_are_asked_every_time() -> None:
    numbers: list[int] = []

    def count(state: dict[str, Any]) -> int:
        numbers.append(1)
        return len(numbers)

    world = Group(ENVIRONMENT.with_functions({"search": count})).world()
    assert [(await ask(world, call("search"))).value for _ in range(3)] == [1, 2, 3]


def test_facts_of_an_earlier_session_are_taken_up_in_order() -> None:
    facts = Group().facts
    first = FactRecord(1, None, "search {}", '"first"', ops=[add("/seen", 1)])
    facts.restore([first, FactRecord(1, None, "search {}", '"second"')])
    assert facts.known["search {}"] is first
    assert facts.state == {**STATE, "seen": 1}
    assert facts.as_of(0) == (STATE, {})
