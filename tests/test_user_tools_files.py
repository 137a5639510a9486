"""Tools of users as an environment declares them, and calls of them as an LLM writes them."""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from simia_async.cli.main import app
from simia_async.environments import Environment, load_environment
from simia_async.errors import UsageError
from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation import answer_in_code
from simia_async.simulation.device_replies import read_joint_user, read_user
from simia_async.simulation.replies import DeviceCall, DeviceUserReply
from tests.lamp_world import FILES, tool, write_lamp

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "done", "tool_calls", "name", "arguments", "function"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.fixture
def lamp(tmp_path: Path) -> Environment:
    return load_environment(str(write_lamp(tmp_path / "lamp")))


def test_user_tools_are_the_users(lamp: Environment) -> None:
    assert [*lamp.validators] == ["get_account", "update_firmware"]
    assert [*lamp.user_validators] == ["check_lamp", "switch_lamp"]
    assert lamp.effects["switch_lamp"].changes == ("/lamp/on",)
    switch = ToolCall("c", FunctionCall("switch_lamp", '{"on": true}'))
    assert answer_in_code(lamp, switch) == {"error": "unknown tool switch_lamp"}
    assert answer_in_code(lamp, switch, by_user=True) is None
    account = ToolCall("c", FunctionCall("get_account", "{}"))
    assert answer_in_code(lamp, account, by_user=True) == {"error": "unknown tool get_account"}


def test_user_tools_are_part_of_what_a_run_is_played_in(tmp_path: Path, lamp: Environment) -> None:
    more = [*FILES["user_tools.json"], tool("shake_lamp")]
    other = load_environment(str(write_lamp(tmp_path / "other", user_tools__json=more)))
    assert lamp.digest != other.digest
    # Runs that were begun before there were any can go on.
    assert load_environment("retail").digest.startswith("021c887921b8d644")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"user_tools__json": [tool("get_account")]},
            "user_tools.json: tool 'get_account' is one of the agent's in tools.json",
        ),
        ({"user_tools__json": "[{}]"}, "user_tools.json: tool 0: no `function.name`"),
        (
            {"user_tools__json": None},
            "`user_tools.check_lamp`: user_tools.json declares no tool 'check_lamp'",
        ),
        (
            {"environment__toml": '[user_tools.switch_lamp]\neffect = "write"\ndepends = ["/l"]'},
            "`user_tools.switch_lamp.depends` is for a read, whose answers are kept; this is a",
        ),
        (
            {"environment__toml": '[user_tools.check_lamp]\neffect = "read"\ndepends = ["lamp"]'},
            "`user_tools.check_lamp.depends`: 'lamp' is no JSON pointer",
        ),
        (
            {"environment__toml": '[user_tools.switch_lamp]\neffect = "read"\nchanges = ["/lamp"]'},
            "`user_tools.switch_lamp.changes` is for a write; this is a read",
        ),
    ],
)
def test_bad_user_tools_are_told(tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    place = write_lamp(tmp_path / "bad", **changed)
    with pytest.raises(UsageError, match=sentence.replace("[", r"\[")):
        load_environment(str(place))
    result = CliRunner().invoke(app, ["env", "check", str(place)])
    assert result.exit_code == 2
    assert sentence in result.stderr.replace("\n", " ")


def test_functions_may_answer_the_user_too(lamp: Environment) -> None:
    assert lamp.with_functions({"check_lamp": lambda _: {}}).functions.keys() == {"check_lamp"}
    with pytest.raises(UsageError, match="no tool 'check_phone'"):
        lamp.with_functions({"check_phone": lambda _: {}})


LOOK = DeviceCall("check_lamp", "{}")


@pytest.mark.parametrize(
    ("call", "read"),
    [
        ({"name": "check_lamp", "arguments": {}}, LOOK),
        ({"name": "check_lamp", "arguments": "{}"}, LOOK),
        ({"name": "check_lamp", "arguments": None}, LOOK),
        ({"name": "check_lamp"}, LOOK),
        ({"id": "c", "type": "function", "function": {"name": "check_lamp"}}, LOOK),
        (
            {"id": "c", "function": {"name": "switch_lamp", "arguments": '{"on": true}'}},
            DeviceCall("switch_lamp", '{"on": true}'),
        ),
        ({"name": "switch_lamp", "parameters": {"on": 1}}, DeviceCall("switch_lamp", '{"on":1}')),
    ],
)
def test_calls_are_read_however_they_are_written(call: Any, read: DeviceCall) -> None:
    text = json.dumps({"message": None, "done": None, "tool_calls": [call]})
    assert read_user(text) == DeviceUserReply("", False, [read])
    assert read_joint_user(f"```json\n{text}\n```") == DeviceUserReply("", False, [read])


@pytest.mark.parametrize("call", [None, 3, "check_lamp()", {}, {"name": 3}, {"function": "look"}])
def test_what_is_no_call_is_complained_about(call: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="a call without a name"):
        read_user(json.dumps({"message": "", "tool_calls": [call]}))


@given(st.text() | st.builds(json.dumps, JSON_VALUES))
def test_whatever_a_user_answers_is_read_or_complained_about(text: str) -> None:
    for read in (read_user, read_joint_user):
        with contextlib.suppress(msgspec.ValidationError):
            reply = read(text)
            assert isinstance(reply.message, str)
            assert all(isinstance(call.arguments, str) for call in reply.tool_calls)


def test_words_alone_are_words() -> None:
    assert read_user('{"message": "Hi.", "done": false, "tool_calls": null}').message == "Hi."
    assert read_joint_user('{"message": "Bye. [TERMINATE]"}') == DeviceUserReply("Bye.", True)
