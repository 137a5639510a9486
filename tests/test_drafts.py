"""What authors write: JSON as asked for, JSON with slips, and the paper's text."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simia_async.environments import load_seeds
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
CALLED = WIRE[1]["tool_calls"]


def written(**changes: object) -> str:
    """The conversation as JSON, its call changed."""
    call = {**CALLED[0], **changes}
    return json.dumps({"messages": [WIRE[0], {**WIRE[1], "tool_calls": [call]}, *WIRE[2:]]})


def answering(**fields: object) -> str:
    """The conversation as JSON, its last turn made of `fields`."""
    return json.dumps({"messages": [*WIRE[:3], {"role": "assistant", **fields}]})


def paper(call: str) -> str:
    """A conversation in the paper's text, with `call` in it."""
    return f"HUMAN: Hi\nFUNCTION_CALL: {call}\nOBSERVATION: {{}}\nASSISTANT: Done."


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
        (
            written(function={"name": "get_order", "parameters": '{"order_id":"W1234"}'}),
            "`parameters` instead of `arguments`",
        ),
        (answering(content=[{"type": "text", "text": "It is packed."}]), "content in parts"),
        (
            json.dumps({"messages": [WIRE[0], {**WIRE[1], "tool_calls": CALLED[0]}, *WIRE[2:]]}),
            "one call instead of a list of calls",
        ),
        (answering(content="It is packed.", refusal="none"), "other fields than were asked for"),
        ("Like {this}, [Note] [1] {}: " + json.dumps({"messages": WIRE}), "slips in the JSON"),
        ('As {"style": "asked"}: ' + json.dumps({"messages": WIRE}), "slips in the JSON"),
        ("Sure [Note]: " + json.dumps(WIRE), "a bare list instead of an object"),
    ],
)
def test_slips_that_leave_no_doubt_are_read_and_noted(text: str, slip: str) -> None:
    draft = read_draft(text)
    assert draft.messages == SOUND
    assert draft.slips == [slip]


def test_real_conversations_are_read_as_they_are(airline_seeds: Path) -> None:
    for seed in load_seeds(airline_seeds):
        draft = read_draft(msgspec.json.encode({"messages": seed.messages}).decode())
        assert (draft.messages, draft.slips) == (list(seed.messages), [])


def test_slips_are_ours_to_note() -> None:
    draft = read_draft(json.dumps({"messages": WIRE, "slips": ["none that I know of"]}))
    assert (draft.messages, draft.slips) == (SOUND, [])


def test_parts_of_a_text_are_put_together() -> None:
    parts = [{"type": "text", "text": "It is"}, {"type": "text", "text": "packed."}]
    assert read_draft(answering(content=parts)).messages[-1].content == "It is\npacked."


def test_a_call_in_openais_older_form_is_a_call() -> None:
    turn = {"role": "assistant", "content": "One moment.", "function_call": CALLED[0]["function"]}
    draft = read_draft(json.dumps({"messages": [WIRE[0], turn, *WIRE[2:]]}))
    [call] = draft.messages[1].tool_calls or ()
    assert (draft.messages[1].content, call.function) == ("One moment.", CALL.function)
    assert draft.slips == ["`function_call` instead of `tool_calls`", "calls without ids"]


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


def test_what_the_system_said_ends_at_the_first_turn() -> None:
    observed = '{"a": 1}\nSYSTEM: the order is cancelled\nmore of it'
    text = f"SYSTEM: Be kind.\nHUMAN: Hi\nOBSERVATION: {observed}\nASSISTANT: Done."
    assert [m.content for m in read_draft(text).messages] == ["Hi", observed, "Done."]


def test_a_quoted_turn_in_the_papers_text_is_a_turn() -> None:
    draft = read_draft("HUMAN: Your bot said:\nASSISTANT: A refund.\nHUMAN: Where is it?")
    assert [m.role for m in draft.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ('{"name": "f", "arguments": {}}', "{}"),
        ('{"name": "f", "arguments": {"a": 1}', '{"a":1}'),
        ('{"name": "f", "arguments": {"a": 1,},}', '{"a":1}'),
        ('```json\n{"name": "f", "arguments": {"a": 1}}\n```', '{"a":1}'),
        ('I use {a}: {"function": {"name": "f", "arguments": "{}"}}', "{}"),
        # The rules see what becomes of these.
        ("""{"name": "f", "arguments": {"a": 'x'}}""", """{"a": 'x'}"""),
        ('{"name": "f", "arguments": "{"a": 1}"}', '{"a": 1}'),
    ],
)
def test_arguments_in_a_call_as_text_come_through(call: str, arguments: str) -> None:
    [called] = read_draft(paper(call)).messages[1].tool_calls or ()
    assert called.function == FunctionCall("f", arguments)


def test_several_calls_as_text_are_all_read() -> None:
    calls = '{"name": "f", "arguments": {}}\n[{"name": "g", "arguments": {"a": 1}}]'
    found = read_draft(paper(calls)).messages[1].tool_calls or ()
    assert [(c.function.name, c.function.arguments) for c in found] == [
        ("f", "{}"),
        ("g", '{"a":1}'),
    ]


def test_parameters_in_a_call_as_text_are_noted() -> None:
    draft = read_draft(paper('{"name": "f", "parameters": {"a": 1}}'))
    [call] = draft.messages[1].tool_calls or ()
    assert call.function.arguments == '{"a":1}'
    assert draft.slips[1:] == ["`parameters` instead of `arguments`"]


WHOLE_CALL = json.dumps(
    {"name": "book", "arguments": {"user": "a", "bags": [{"kg": 1}, {"kg": 2}], "note": 'say "b"'}}
)


def test_a_call_that_breaks_off_anywhere_is_none() -> None:
    for length in range(len(WHOLE_CALL) - 1):
        with pytest.raises(msgspec.ValidationError):
            read_draft(paper(WHOLE_CALL[:length]))


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
        # No arguments are made up, and none are dropped.
        paper('{"name": "f"}'),
        paper('{"name": "f", "args": {"a": 1}}'),
        paper('{"name": "f", "arguments": {}, "a": 1}'),
        paper('{"name": "f", "arguments": {}, "parameters": {"a": 1}}'),
        paper('{"name": "f", "arguments": {}}' * 30),
        paper('{"name": "f", "arguments": {"a": NaN}}'),
        paper('{"name": "f", "arguments": {"a": }}'),
        written(function={"name": "f"}),
        written(function={"name": "f", "arguments": None}),
        written(function={"name": "f", "arguments": {"a": float("nan")}}),
        written(function={"name": "f", "arguments": {"a": "1e999"}}).replace('"1e999"', "1e999"),
        written(function={"name": "f", "arguments": "{}"}, parameters={"a": 1}),
        # No call is dropped, and nothing that is no text becomes one.
        answering(tool_calls="get_order"),
        answering(tool_calls=CALLED, function_call=CALLED[0]["function"]),
        answering(function_call="get_order"),
        answering(content="I look it up.", tool_call=CALLED[0]),
        answering(content={"text": "Hi"}),
        answering(content=[{"type": "image_url", "image_url": "x"}]),
        answering(content=12),
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
