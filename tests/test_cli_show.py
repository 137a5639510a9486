"""`simia show`: a conversation as its reader sees it, and the same as JSON."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import (
    CallRecord,
    FactRecord,
    GroupRecord,
    JudgementRecord,
    RunRecord,
    RunStatus,
    ScoringRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)
from simia_store.state_changes import changes_by_turn
from typer.testing import CliRunner, Result

from simia_async.cli.main import app
from simia_async.environments import Scenario, Task
from simia_async.messages import FunctionCall, Message, ToolCall

runner = CliRunner()

ORDERS = {"orders": {"W1": {"status": "pending", "paid": [5]}}, "users": {}}
TASK = Task(
    id="t1",
    environment="mini-retail",
    split="train",
    scenario=Scenario("You want W1 cancelled."),
    initial_state=ORDERS,
    needs_action=True,
    goal="W1 is cancelled.",
)
CANCEL = ToolCall("c1", FunctionCall("cancel_order", '{"order_id": "W1"}'))
SET = {"op": "replace", "path": "/orders/W1/status", "value": "cancelled"}


def turn(position: int, message: Message, **more: Any) -> TurnRecord:
    return TurnRecord(1, position, message.role, message.as_wire(), **more)


TURNS = [
    turn(0, Message("user", "Cancel W1, [bold]please[/bold].\x1b[31m"), source="llm"),
    turn(1, Message("assistant", "<think>Easy.</think>", tool_calls=[CANCEL])),
    turn(2, Message("tool", '{"ok": true}', tool_call_id="c1"), source="llm", ops=[SET]),
    turn(3, Message("assistant", tool_calls=[ToolCall("c2", FunctionCall("fly", "{"))])),
    turn(
        4,
        Message("tool", '{"error": "unknown tool fly"}', tool_call_id="c2"),
        source="code",
        is_error=True,
    ),
    turn(5, Message("user", "Thanks."), source="llm", ends="user_done"),
]
RECORDS = [
    TASK.as_record(),
    GroupRecord(4, "t1", 0, 2, 2),
    TrajectoryRecord(
        1,
        "mini-retail",
        "t1",
        TrajectoryStatus.SCORED,
        group_id=4,
        policy_version=2,
        stop_reason="user_done",
        reward=0.5,
        reason="half of it",
        detail={"solved": False},
    ),
    TrajectoryRecord(
        9,
        "mini-retail",
        "",
        TrajectoryStatus.REJECTED,
        rejected_by="no_empty_turns",
        reason="turn 1 is empty",
        detail={"repairs": [{"rule": "think", "reason": "a block was closed"}]},
    ),
    *TURNS,
    ScoringRecord(1, {"combine": "judge"}, "gpt-x"),
    ScoringRecord(2, {"combine": "check"}, ""),
    JudgementRecord(
        1,
        1,
        0.5,
        "half of it",
        {
            "criteria": {"kind": 0.5, "brief": True},
            "votes": [{"reward": 0.5}, {"reward": 1.0}],
            "agreement": 0.75,
        },
    ),
    JudgementRecord(2, 1, 0.0, "not as wanted: said", {"checks": {"said": False}}),
    CallRecord(1, "judge", "http://x", "gpt-x", 1, "ok", 1.25, tokens_in=70, tokens_out=7),
    CallRecord(9, "author", "http://x", "gpt-x", 1, "ok", 1.25),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    async def write(path: Path) -> None:
        config = {"environment": "mini-retail"}
        async with open_store(path) as store:
            await store.append(RunRecord("r", "rollout", config, RunStatus.DONE))
            await store.append(*RECORDS)

    path = tmp_path / "r.db"
    asyncio.run(write(path))
    return path


def show(*arguments: object, width: int = 80) -> Result:
    return runner.invoke(app, ["show", *map(str, arguments)], env={"COLUMNS": str(width)})


def lines_of(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_a_conversation_is_shown_from_its_head_to_its_judgements(run: Path) -> None:
    lines = lines_of(show(run, 1, width=300))
    assert lines == [
        f"trajectory 1 of {run}, scored",
        "task t1 (train), mini-retail",
        "goal W1 is cancelled.",
        "group 4",
        "policy version 2",
        "ended user_done",
        "reward 0.5",
        "solved no",
        "reason half of it",
        "",
        "1 user",
        "Cancel W1, [bold]please[/bold].␛[31m",
        "",
        "2 agent",
        "(thinks) Easy.",
        '→ cancel_order(order_id="W1")',
        "",
        "3 tool · answered by the simulator",
        '{"ok": true}',
        '± /orders/W1/status: "pending" → "cancelled"',
        "",
        "4 agent",
        "→ fly({)",
        "",
        "5 tool · answered by code · error",
        '{"error": "unknown tool fly"}',
        "",
        "6 user · ends the conversation: user_done",
        "Thanks.",
        "",
        "scoring 1 (gpt-x, judge): reward 0.5",
        "0.5 kind",
        "yes brief",
        "half of it",
        "votes 0.5, 1; agreement 75%",
        "scoring 2 (code alone, check): reward 0",
        "no said (exact)",
        "not as wanted: said",
    ]


def test_the_calls_behind_it_are_shown_if_asked_for(run: Path) -> None:
    lines = lines_of(show(run, 1, "--calls", width=300))
    calls = [line for line in lines if line.startswith("call ")]
    assert calls == ["call judge gpt-x: ok in 1.25 s, 70 tokens in, 7 out"]


def test_what_a_rule_kept_out_is_shown_with_the_reason(run: Path) -> None:
    assert lines_of(show(run, 9, width=300)) == [
        f"trajectory 9 of {run}, rejected",
        "task (train), mini-retail",
        "rejected by no_empty_turns",
        "reason turn 1 is empty",
        "repaired think: a block was closed",
    ]


def test_a_narrow_terminal_wraps_what_was_said(run: Path) -> None:
    result = show(run, 1, width=24)
    said = result.stdout.split("1 user\n")[1].split("\n\n")[0]
    assert max(map(len, said.splitlines())) <= 24
    assert "".join(said.split()) == "CancelW1,[bold]please[/bold].␛[31m"


def test_the_same_comes_as_json(run: Path) -> None:
    shown = json.loads(show(run, 1, "--json").stdout)
    assert shown["trajectory"]["reward"] == 0.5
    assert shown["task"]["goal"] == "W1 is cancelled."
    assert shown["calls"] is None
    assert [each["scoring"] for each in shown["judgements"]] == [1, 2]
    assert shown["turns"][1]["thoughts"] == "Easy."
    assert shown["turns"][0]["text"].endswith("\x1b[31m")
    assert shown["turns"][2]["changes"] == [
        {
            "op": "replace",
            "path": "/orders/W1/status",
            "before": "pending",
            "after": "cancelled",
            "knows_before": True,
        }
    ]
    assert len(json.loads(show(run, 1, "--json", "--calls").stdout)["calls"]) == 1


@pytest.mark.parametrize(
    ("where", "number", "problem"),
    [("r.db", 5, "has no trajectory 5; there are 1 to 9"), ("x.db", 1, "no such run database")],
)
def test_what_is_not_there_is_told_in_a_sentence(
    run: Path, where: str, number: int, problem: str
) -> None:
    result = show(run.with_name(where), number)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {run.with_name(where)}: {problem}\n"


def changes(*turns: TurnRecord, facts: tuple[FactRecord, ...] = (), state: Any = ORDERS) -> Any:
    return [[str(each) for each in told] for told in changes_by_turn(turns, facts, state)]


def observed(*ops: dict[str, Any], facts: int = 0) -> TurnRecord:
    return turn(0, Message("tool", "{}"), ops=list(ops), facts=facts)


def test_each_kind_of_change_is_told_in_words() -> None:
    ops = [
        {"op": "test", "path": "/orders", "value": 1},
        {"op": "add", "path": "/orders/W2", "value": {}},
        {"op": "add", "path": "/orders/W1/paid/-", "value": 2},
        {"op": "add", "path": "/orders/W1/paid/0", "value": 3},
        {"op": "move", "from": "/orders/W2", "path": "/orders/W3"},
        {"op": "remove", "path": "/orders/W3"},
    ]
    assert changes(observed(*ops[1:])) == [
        [
            "/orders/W2: added {}",
            "/orders/W1/paid/-: added 2",
            "/orders/W1/paid/0: added 3",
            "/orders/W3: move of /orders/W2",
            "/orders/W3: removed (was {})",
        ]
    ]
    assert changes(observed(ops[0])) == [[]]


def test_what_stood_there_before_is_not_made_up() -> None:
    lost = {"op": "replace", "path": "/orders/W7/status", "value": 1}
    removed = {"op": "remove", "path": "/orders/W1"}
    assert changes(observed(SET), state=None) == [['/orders/W1/status: set to "cancelled"']]
    # A change that does not fit leaves the state unknown from then on.
    assert changes(observed(lost), observed(removed)) == [
        ["/orders/W7/status: set to 1"],
        ["/orders/W1: removed"],
    ]


def test_facts_that_others_of_the_group_were_told_are_known_before_a_change() -> None:
    told = {"op": "add", "path": "/users/u1", "value": {"name": "Ann"}}
    renamed = {"op": "replace", "path": "/users/u1/name", "value": "Bea"}
    fact = FactRecord(4, None, "get_user {}", "{}", ops=[told])
    assert changes(observed(facts=1), observed(renamed, facts=1), facts=(fact,)) == [
        [],
        ['/users/u1/name: "Ann" → "Bea"'],
    ]
    # The turn that told it itself.
    assert changes(observed(told, facts=1), facts=(fact,)) == [['/users/u1: added {"name":"Ann"}']]


@settings(deadline=None, database=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "replace", "remove"]),
            st.sampled_from(["/a", "/b", "/a/c", "/b/0", "/~", "x"]),
            st.integers() | st.lists(st.integers()) | st.dictionaries(st.text(), st.integers()),
        ),
        max_size=6,
    )
)
def test_whatever_is_stored_every_operation_is_shown(ops: list[tuple[str, str, Any]]) -> None:
    stored = [{"op": op, "path": path, "value": value} for op, path, value in ops]
    [told] = changes(observed(*stored), state={"a": {"c": 1}, "b": [1]})
    assert [line.split(": ")[0] for line in told] == [path for _, path, _ in ops]


def test_text_of_a_patch_is_data(run: Path) -> None:
    nasty = msgspec.structs.replace(TURNS[2], position=6, ops=[{**SET, "value": "[red]\x1b"}])

    async def write() -> None:
        async with open_store(run) as store:
            await store.append(nasty)

    asyncio.run(write())
    assert '"cancelled" → "[red]\\u001b"' in show(run, 1, width=300).stdout
