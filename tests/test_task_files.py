"""Files of tasks: what is written is read again, and what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.environments import (
    Check,
    Criterion,
    Environment,
    Scenario,
    Task,
    Utterance,
    environment_tasks,
    load_environment,
    load_tasks,
    write_tasks,
)
from simia_async.environments.tasks_file import tasks_to_keep
from simia_async.errors import UsageError
from simia_async.messages import FunctionCall, Message, ToolCall

SCHEMA = {"properties": {"orders": {"additionalProperties": {"type": "string"}}}}

DESK = Environment(
    "desk",
    "Be kind.",
    [{"function": {"name": "look_up"}}],
    initial_state={"orders": {"W1": "shipped"}},
    state_schema=SCHEMA,
)
WORLD = Environment("desk", "Be kind.", [{"function": {"name": "look_up"}}])
"""Without a state, so that tasks hold whole ones of any shape."""

TASK: dict[str, Any] = {
    "id": "a",
    "split": "train",
    "scenario": {"instructions": "Ask."},
    "initial_state": {},
    "needs_action": False,
}


def file_of(folder: Path, *lines: object) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_line_may_leave_out_everything_that_has_a_default(tmp_path: Path) -> None:
    [task] = load_tasks(file_of(tmp_path, TASK), DESK)
    assert task == Task(
        id="a",
        environment="desk",
        split="train",
        scenario=Scenario("Ask."),
        initial_state={},
        needs_action=False,
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"id": ""}, "`id` is empty"),
        ({"environment": "shop"}, "`environment`: found 'shop'; this is 'desk'"),
        ({"split": "test"}, "`split`: Invalid enum value 'test'"),
        ({"goals": "x"}, "unknown field `goals`"),
        ({"scenario": {}}, "`scenario`: Object missing required field `instructions`"),
        ({"rubric": [{"name": "n"}]}, r"`rubric\[0\]`: Object missing required field"),
        (
            {"rubric": [{"name": "n", "description": "d", "weight": 0}]},
            r"`rubric\[0\]\.weight`: Expected `float` > 0",
        ),
        (
            {"initial_state": {"orders": {"W1": 1}}},
            "`initial_state`: /orders/W1: 1 is not of type 'string'",
        ),
        (
            {"check": {"final_state": {"orders": {"W2": []}}}},
            r"`check\.final_state`: /orders/W2: \[\] is not of type 'string'",
        ),
        (
            {
                "reference": [
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "c", "function": {"name": "fly", "arguments": "{}"}},
                        ],
                    }
                ]
            },
            "`reference`: calls 'fly', which tools.json does not declare",
        ),
    ],
)
def test_what_is_wrong_with_a_task_names_file_line_and_field(
    tmp_path: Path, line: dict[str, Any], complaint: str
) -> None:
    path = file_of(tmp_path, TASK, TASK | {"id": "b"} | line)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_tasks(path, DESK)
    assert str(caught.value).startswith(f"{path}: line 2: ")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"id":\n', "line 1: column 7: Expecting value"),
        (b'\n{"id": "a",,}\n', "line 2: column 12: Expecting property name"),
        (b"[]\n", "line 1: Expected `object`, got `array`"),
        (b"\xff\n", "is not UTF-8 text"),
        (b" \n", "is empty; expected tasks"),
        (b'{"id":' * 100_000, "line 1: it is nested too deeply"),
    ],
)
def test_what_is_no_line_of_json_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_tasks(path, DESK)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_id_that_stands_twice_is_named(tmp_path: Path) -> None:
    path = file_of(tmp_path, TASK, TASK | {"id": "b"}, TASK)
    with pytest.raises(UsageError, match="line 3: `id`: 'a' is the id of an earlier task too"):
        load_tasks(path, DESK)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl: No such file"):
        load_tasks(tmp_path / "none.jsonl", DESK)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{}", "expected τ²-bench's JSON list of tasks; ours go to tasks.jsonl"),
        (b"[{}]", "task 0: Object missing required field `id`"),
        (b"[", "expected τ²-bench's JSON list of tasks: line 1, column 2"),
    ],
)
def test_what_is_no_file_of_tau2_bench_is_named(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "tasks.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as caught:
        load_tasks(path, DESK)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_task_of_tau2_bench_in_plain_words_and_with_data_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    task = {
        "id": "t",
        "user_scenario": {"persona": "A sailor.", "instructions": "Ask for the tide."},
        "initial_state": {"initialization_data": {"agent_data": {"orders": {"W2": "lost"}}}},
        "evaluation_criteria": {
            "actions": [{"name": "find_tide"}, {"name": "transfer_to_human_agents"}],
            "communicate_info": ["6.20"],
        },
    }
    path.write_text(json.dumps([task]))
    [read] = load_tasks(path, DESK)
    assert read.scenario.instructions == (
        "Who you are:\nA sailor.\n\nHow you behave:\nAsk for the tide."
    )
    assert DESK.state_with(read.initial_state) == {"orders": {"W1": "shipped", "W2": "lost"}}
    assert not read.needs_action
    assert [criterion.description for criterion in read.rubric] == [
        "The agent called transfer_to_human_agents({}), with exactly these arguments.",
        "The agent told the user: 6.20",
        "The agent changed nothing.",
    ]


def test_an_environment_without_a_file_of_tasks_has_none() -> None:
    assert environment_tasks(DESK) == []
    assert environment_tasks(load_environment("airline")) == []


def test_writing_replaces_a_file_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = file_of(tmp_path, TASK, TASK | {"id": "b"})
    tasks = load_tasks(path, DESK)
    write_tasks(path, tasks[:1])
    assert load_tasks(path, DESK) == tasks[:1]
    assert list(tmp_path.iterdir()) == [path]


def test_tasks_to_keep_are_as_they_stand_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, TASK | {"goal": "edited"}, TASK | {"id": "b"})
    assert [task.goal for task in tasks_to_keep(path, DESK, {"a", "b", "c"})] == ["edited", ""]
    with pytest.raises(UsageError, match=r"tasks\.jsonl: holds tasks .* not make, such as 'b'"):
        tasks_to_keep(path, DESK, {"a"})
    assert tasks_to_keep(tmp_path / "none.jsonl", DESK, {"a"}) == []


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path) -> None:
    path = file_of(tmp_path, TASK)
    before = path.read_bytes()

    def broken() -> Any:
        yield from load_tasks(path, DESK)
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match=r"tasks\.jsonl: cannot be written: No space left"):
        write_tasks(path, broken())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        write_tasks(tmp_path, [])


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
STATE = st.dictionaries(TEXT, JSON, max_size=3)
CALLS = st.lists(
    st.builds(ToolCall, TEXT, st.builds(FunctionCall, st.just("look_up"), arguments=TEXT)),
    max_size=2,
)
MESSAGE = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "tool"]),
    content=st.none() | TEXT,
    tool_calls=st.none() | CALLS,
    tool_call_id=st.none() | TEXT,
)


def tuples(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


TASKS = st.builds(
    Task,
    id=TEXT.filter(bool),
    environment=st.just("desk"),
    split=st.sampled_from(["train", "heldout"]),
    scenario=st.builds(
        Scenario, TEXT, tuples(st.builds(Utterance, TEXT, correction=st.none() | TEXT))
    ),
    initial_state=STATE,
    needs_action=st.booleans(),
    goal=TEXT,
    check=st.none() | st.builds(Check, STATE, must_say=tuples(tuples(TEXT))),
    rubric=tuples(st.builds(Criterion, TEXT, TEXT, weight=st.floats(1e-6, 1e6, allow_nan=False))),
    reference=tuples(MESSAGE),
    template=TEXT,
    seed=TEXT,
)


@given(st.lists(TASKS, max_size=4, unique_by=lambda task: task.id))
@settings(deadline=None, database=None, max_examples=100)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, tasks: list[Task]
) -> None:
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    write_tasks(path, tasks)
    if tasks:
        assert load_tasks(path, WORLD) == tasks
