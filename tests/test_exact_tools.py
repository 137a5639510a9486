"""The tools of `office` and `shell` as Python do what is said of them, whatever they are given."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.builtin.exact import exact_functions
from simia_async.builtin.exact.binding import differences
from simia_async.environments import Environment, load_environment
from simia_async.environments.tool_effects import ToolError
from simia_async.messages import FunctionCall, ToolCall
from simia_async.simulation.grounding.observation import Request
from simia_async.simulation.grounding.validation import check_reply
from simia_async.simulation.state import apply_ops

WORLDS = {name: load_environment(name) for name in ("office", "shell")}
FUNCTIONS = {name: exact_functions(name) for name in WORLDS}
JONAS = {"user": "jonas", "groups": ["jonas", "research"], "sudo": False}
HOME = "/home/maya"


def fresh(name: str, **session: Any) -> dict[str, Any]:
    state = copy.deepcopy(WORLDS[name].initial_state)
    assert state is not None
    if session:
        state["session"] |= session
    return state


def do(state: dict[str, Any], tool: str, **arguments: Any) -> Any:
    """Call a tool, change the state in place, and return what was observed."""
    name = "shell" if "files" in state else "office"
    reply = FUNCTIONS[name][tool](state, **arguments)
    after = dict(apply_ops(state, reply.ops))
    state.clear()
    state.update(after)
    return reply.observation


def texts(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | set().union(*map(texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts, value))
    return {value} if isinstance(value, str) else set()


KNOWN = {name: sorted(texts(world.initial_state)) for name, world in WORLDS.items()}


def fitting(name: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of an argument takes, most of them out of the state."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if kind == "array":
        return st.lists(st.sampled_from(KNOWN[name]), max_size=3)
    if kind == "object":
        return st.dictionaries(st.sampled_from(KNOWN[name]), st.sampled_from(KNOWN[name]))
    if kind == "boolean":
        return st.booleans()
    if kind in ("integer", "number"):
        return st.integers(1, 60)
    return st.sampled_from(KNOWN[name]) | st.text(max_size=6)


@st.composite
def calls(draw: st.DrawFn, name: str) -> tuple[str, dict[str, Any]]:
    tool = draw(st.sampled_from(WORLDS[name].tools))["function"]
    properties, required = tool["parameters"]["properties"], tool["parameters"]["required"]
    arguments = {
        key: draw(fitting(name, schema))
        for key, schema in properties.items()
        if key in required or draw(st.booleans())
    }
    return tool["name"], arguments


@pytest.mark.parametrize("name", WORLDS)
def test_whatever_is_called_the_state_stays_one_that_fits(name: str) -> None:
    """No call breaks; those that fail change nothing; the others only what is declared."""
    world = WORLDS[name]

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(st.lists(calls(name), min_size=1, max_size=6))
    def play(made: list[tuple[str, dict[str, Any]]]) -> None:
        state = fresh(name)
        for tool, arguments in made:
            state = after_call(world, state, tool, arguments)

    play()


def after_call(
    world: Environment, state: dict[str, Any], tool: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    before = copy.deepcopy(state)
    try:
        reply = FUNCTIONS[world.name][tool](state, **arguments)
    except ToolError:
        assert state == before
        return state
    assert state == before
    assert world.effects[tool].effect == "write" or not reply.ops
    request = Request.of(ToolCall("c", FunctionCall(tool, json.dumps(arguments))))
    return check_reply(world, request, reply, state).state


@given(
    st.dictionaries(st.text(max_size=3), st.integers() | st.dictionaries(st.text(), st.integers())),
    st.dictionaries(st.text(max_size=3), st.integers() | st.dictionaries(st.text(), st.integers())),
)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_differences_lead_from_one_state_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert apply_ops(before, list(differences(before, after))) == after


def test_rights_are_kept() -> None:
    state = fresh("shell")
    for path in ("/var/log/auth.log", "/etc/shadow", "/home/priya/plans.txt", "/var/log/db/db.log"):
        with pytest.raises(ToolError, match="permission denied"):
            do(state, "read_file", path=path)
        assert do(state, "read_file", path=path, sudo=True)["content"]
    with pytest.raises(ToolError, match="permission denied"):
        do(state, "append_to_file", path="/etc/hosts", text="x")
    with pytest.raises(ToolError, match="permission denied"):
        do(state, "delete_path", path="/home/jonas/train.py")
    with pytest.raises(ToolError, match="operation not permitted"):
        do(state, "stop_process", pid="2467", signal="TERM")
    assert do(state, "find_files", path="/home/priya")["count"] == 0
    assert do(state, "search_text", path="/", text="failed login")["count"] == 0


def test_who_may_not_use_sudo_cannot() -> None:
    state = fresh("shell", **JONAS)
    for tool, arguments in (
        ("read_file", {"path": "/etc/shadow", "sudo": True}),
        ("set_owner", {"path": "/home/jonas/train.py", "owner": "maya", "group": "maya"}),
        ("control_service", {"service": "web", "action": "restart"}),
        ("set_service_autostart", {"service": "web", "enabled": False}),
    ):
        with pytest.raises(ToolError, match="jonas is not allowed to use sudo"):
            do(state, tool, **arguments)
    # The group of a file counts where its owner is another.
    assert do(state, "append_to_file", path="/srv/research/rota.csv", text="27,jonas")


def test_links_are_followed_where_one_looks_and_not_where_one_writes() -> None:
    state = fresh("shell")
    assert do(state, "read_file", path="/srv/web/current/VERSION")["content"] == (
        "release 2025-06-16\n"
    )
    assert do(state, "get_file_info", path="/srv/web/current")["kind"] == "link"
    with pytest.raises(ToolError, match="leads over a link; use /srv/web/releases/2025-06-16"):
        do(state, "write_file", path="/srv/web/current/new.txt", content="x")
    do(state, "make_link", path="/tmp/round", target="/tmp")
    do(state, "delete_path", path="/tmp/round")
    do(state, "make_link", path=f"{HOME}/a", target=f"{HOME}/notes.txt")
    do(state, "make_link", path=f"{HOME}/b", target=f"{HOME}/a")
    do(state, "make_link", path=f"{HOME}/a", target=f"{HOME}/b")
    with pytest.raises(ToolError, match="too many levels of links"):
        do(state, "read_file", path=f"{HOME}/a")


def test_trees_are_moved_copied_and_deleted_whole() -> None:
    state = fresh("shell")
    count = len(state["files"])
    report = f"{HOME}/projects/report"
    copied = do(state, "copy_path", source=report, target=f"{HOME}/archive/report")["copied"]
    assert len(state["files"]) == count + copied
    assert state["files"][f"{HOME}/archive/report/data.csv"]["modified"] == "2025-06-18"
    do(state, "move_path", source=f"{HOME}/archive/report", target=f"{HOME}/report")
    assert f"{HOME}/report/figures/team.png" in state["files"]
    with pytest.raises(ToolError, match="directory is not empty"):
        do(state, "delete_path", path=f"{HOME}/report")
    do(state, "delete_path", path=f"{HOME}/report", recursive=True)
    assert len(state["files"]) == count
    with pytest.raises(ToolError, match=f"lies in {HOME}"):
        do(state, "copy_path", source=HOME, target=f"{HOME}/archive/all", sudo=True)


def test_a_service_needs_what_it_needs() -> None:
    state = fresh("shell")
    with pytest.raises(ToolError, match="cannot start, /srv/search/index is missing"):
        do(state, "control_service", service="search", action="start")
    do(state, "make_directory", path="/srv/search/index", sudo=True)
    assert do(state, "control_service", service="search", action="start")["status"] == "running"
    with pytest.raises(ToolError, match="runs already"):
        do(state, "control_service", service="search", action="start")


def test_rooms_and_people_are_not_booked_twice() -> None:
    state = fresh("office")
    event = {"title": "T", "date": "2025-06-19", "attendees": []}
    with pytest.raises(ToolError, match="room_cedar: is taken on 2025-06-19"):
        do(state, "create_event", **event, start="10:30", end="11:30", room="room_cedar")
    made = do(state, "create_event", **event, start="11:00", end="11:30", room="room_cedar")
    rooms = do(state, "find_rooms", date="2025-06-19", start="11:00", end="12:00", capacity=5)
    assert rooms == {"rooms": []}
    do(state, "cancel_event", event_id=made["event_id"])
    ana = "ana.ribeiro@lumen.example"
    free = do(state, "find_free_times", emails=[ana], date="2025-06-19", minutes=60)["free"]
    assert free == [
        {"start": "09:00", "end": "10:00"},
        {"start": "12:00", "end": "14:00"},
        {"start": "14:30", "end": "17:00"},
    ]
    yusuf = "yusuf.demir@lumen.example"
    away = do(state, "find_free_times", emails=[ana, yusuf], date="2025-06-24", minutes=30)
    assert away == {"date": "2025-06-24", "free": [], "away": [yusuf]}


@pytest.mark.parametrize(
    ("tool", "arguments", "problem"),
    [
        ("replace_in_document", {"document_id": "doc_106", "old": "140", "new": "160"}, "view"),
        ("share_document", {"document_id": "doc_103", "email": "x", "access": "edit"}, "owner"),
        ("move_event", {"event_id": "evt_203", "start": "14:00", "end": "15:00"}, "organizer"),
        ("respond_to_invitation", {"event_id": "evt_201", "response": "declined"}, "not invited"),
        (
            "create_event",
            {"title": "T", "date": "2025-6-1", "start": "9:00", "end": "10:00", "attendees": []},
            "is no day",
        ),
        ("send_mail", {"to": ["Tom"], "subject": "S", "body": "B"}, "e-mail address"),
        (
            "set_cell",
            {"sheet_id": "sheet_404", "row": "r1", "column": "extension", "value": "1"},
            "needs edit",
        ),
        ("add_row", {"sheet_id": "sheet_405", "cells": {"item": "Desk"}}, "lacks holder, since"),
        ("sum_column", {"sheet_id": "sheet_403", "column": "stage"}, "holds text"),
        ("get_event", {"event_id": "evt_999"}, "nothing of this id"),
    ],
)
def test_what_the_office_does_not_allow_is_an_error(
    tool: str, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ToolError, match=problem):
        do(fresh("office"), tool, **arguments)
