"""What authors write: JSON as asked for, JSON with slips, and the paper's text."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.simulation.drafts import read_draft

CALL = ToolCall("c0", FunctionCall("get_order", '{"order_id":"W1234"}'))
SOUND = [
    Message("user", "Where is W1234?"),
    Message("assistant", tool_calls=[CALL]),
    Message("tool", '{"status":"packed"}', tool_call_id="c0"),
    Message("assistant", "It is packed."),
]
WIRE = [message.as_wire() for message in SOUND]


def written(**changes: object) -> str:
    """The conversation as JSON, its call changed."""
    call = {**WIRE[1]["tool_calls"][0], **changes}
    return json.dumps({"messages": [WIRE[0], {**WIRE[1], "tool_calls": [call]}, *WIRE[2:]]})


def test_what_was_asked_for_is_read_as_it_is() -> None:
    draft = read_draft(json.dumps({"messages": WIRE}))
    assert (draft.messages, draft.slips) == (SOUND, [])


@pytest.mark.parametrize(
    ("text", "slip"),
    [
        ("Here it is:\n```json\n" + json.dumps({"messages": WIRE}) + "\n```", "slips in the JSON"),
        (json.dumps({"messages": WIRE})[:-1] + ",,", "slips in the JSON"),
        (json.dumps({"messages": WIRE})[:-2] + ", ]}", "slips in the JSON"),
        (json.dumps(WIRE), "a bare list instead of an object"),
        (
            written(function={"name": "get_order", "arguments": {"order_id": "W1234"}}),
            "arguments as JSON instead of text",
        ),
        (
            json.dumps(
                {"messages": [*WIRE[:2], {**WIRE[2], "content": {"status": "packed"}}, WIRE[3]]}
            ),
            "content as JSON instead of text",
        ),
    ],
)
def test_slips_that_leave_no_doubt_are_read_and_noted(text: str, slip: str) -> None:
    draft = read_draft(text)
    assert draft.messages == SOUND
    assert draft.slips == [slip]


def test_a_call_without_an_id_gets_one() -> None:
    draft = read_draft(written(id=None))
    assert [call.id for call in draft.messages[1].tool_calls or ()] == ["call_0"]
    assert draft.slips == ["calls without ids"]


PAPER = """HUMAN: Where is W1234?
It is late: very late.
ASSISTANT: Let me look.

FUNCTION_CALL:
<think>
I need the order. I will call the function get_order.
</think>
{"name": "get_order", "arguments": {"order_id": "W1234"}}
OBSERVATION: {"status": "packed"}
ASSISTANT: It is packed."""


def test_the_papers_text_is_read() -> None:
    draft = read_draft(PAPER)
    human, reply, called, observed, end = draft.messages
    assert (human.role, human.content) == ("user", "Where is W1234?\nIt is late: very late.")
    assert (reply.role, reply.content) == ("assistant", "Let me look.")
    assert called.content is not None
    assert called.content.startswith("<think>")
    [call] = called.tool_calls or ()
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_order",
        {"order_id": "W1234"},
    )
    assert (observed.content, observed.tool_call_id) == ('{"status": "packed"}', call.id)
    assert end.content == "It is packed."
    assert draft.slips == ["HUMAN:/ASSISTANT: text instead of JSON"]


def test_marks_in_bold_and_a_system_text_are_understood() -> None:
    draft = read_draft("**SYSTEM:** Be kind.\n**HUMAN:** Hi\n**ASSISTANT:** Hello")
    assert [(m.role, m.content) for m in draft.messages] == [("user", "Hi"), ("assistant", "Hello")]


def test_turns_in_sharegpts_form_are_read() -> None:
    turns = [
        {"from": "human", "value": "Where is W1234?"},
        {
            "from": "function_call",
            "value": '{"name": "get_order", "arguments": {"order_id": "W1234"}}',
        },
        {"from": "observation", "value": '{"status":"packed"}'},
        {"from": "gpt", "value": "It is packed."},
    ]
    draft = read_draft(json.dumps({"conversations": turns}))
    assert [m.role for m in draft.messages] == ["user", "assistant", "tool", "assistant"]
    [call] = draft.messages[1].tool_calls or ()
    assert json.loads(call.function.arguments) == {"order_id": "W1234"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I am sorry, I cannot do that.",
        "{}",
        '{"messages": "none"}',
        '{"messages": [1]}',
        '{"messages": [{"role": "robot", "content": "Hi"}]}',
        '{"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}',
        "HUMAN: Hi\nFUNCTION_CALL: look it up",
        # What is cut off may still read as something whole.
        json.dumps({"messages": WIRE})[:-2],
        json.dumps({"messages": WIRE})[:-40],
        json.dumps({"messages": WIRE[:2]})[:-2] + ', {"role": "tool", "content": "{\\"a\\"',
    ],
)
def test_what_is_no_conversation_is_said_to_be_none(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_draft(text)


PIECES = st.sampled_from(
    [
        *("HUMAN: ", "ASSISTANT: ", "FUNCTION_CALL: ", "OBSERVATION: ", "<think>", "</think>", "x"),
        *('"role"', '"messages"', '"name"', '"tool_calls"', *'{}[]":,\n'),
    ]
)


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_text_is_a_conversation_or_none(text: str) -> None:
    try:
        draft = read_draft(text)
    except msgspec.ValidationError:
        return
    msgspec.json.encode(draft)


@settings(max_examples=50, deadline=None, database=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("role"), inner),
    )
)
def test_any_json_is_a_conversation_or_none(value: object) -> None:
    try:
        draft = read_draft(json.dumps({"messages": [value]}))
    except msgspec.ValidationError:
        return
    msgspec.json.encode(draft)
