"""File formats of conversations: what is written is read back, and nothing is mistaken."""

import json
import math
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2.sandbox
import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyarrow import Table
from pyarrow.parquet import ParquetFile, write_table

from simia_async.environments import load_environment
from simia_async.errors import UsageError
from simia_async.formats import (
    Conversation,
    hermes,
    llama3,
    openai,
    read_conversations,
    sharegpt,
    tau_bench,
)
from simia_async.formats.normal_form import normal_form
from simia_async.formats.parquet import write_parquet
from simia_async.formats.refusals import NotWritable
from simia_async.messages import FunctionCall, Message, ToolCall
from tests.conftest import DATA

TEMPLATES = Path(__file__).with_name("templates")
TOOL = {
    "type": "function",
    "function": {
        "name": "get_order",
        "description": "Look it up – “here”.\nTwice.",
        "parameters": {"type": "object", "properties": {"id": {"type": "string", "default": 1.50}}},
    },
}


def thinking(conversation: Conversation) -> Conversation:
    return normal_form(conversation, sharegpt.as_thought)


IN_NORMAL_FORM: list[tuple[Any, Callable[[Conversation], Conversation]]] = [
    (hermes, normal_form),
    (llama3, normal_form),
    (sharegpt, thinking),
]
NAMES = ["hermes", "llama3", "sharegpt"]
each_in_normal_form = pytest.mark.parametrize(("form", "normal"), IN_NORMAL_FORM, ids=NAMES)


def calls_of(*written: str, name: str = "get_order") -> list[ToolCall]:
    return [ToolCall(f"c{at}", FunctionCall(name, each)) for at, each in enumerate(written)]


def observed(*texts: str) -> list[Message]:
    return [Message("tool", text, tool_call_id=f"c{at}") for at, text in enumerate(texts)]


POLICY = Message("system", "Be kind.")
ASK = Message("user", "Where is it?")
CALL = Message("assistant", tool_calls=calls_of('{"id": "W1"}'))
SEEN = Message("tool", '{"status": "packed"}', tool_call_id="c0", name="get_order")
REPLY = Message("assistant", "<think>Packed.</think>It is packed.")


def conversation(*messages: Message, tools: bool = True) -> Conversation:
    return Conversation(list(messages), [TOOL] if tools else [], "run:7")


SOUND = conversation(POLICY, ASK, CALL, SEEN, REPLY)


def lossless_line(line: dict[str, Any]) -> dict[str, Any]:
    """What is left of a line after it stood in a file."""
    return msgspec.json.decode(msgspec.json.encode(line))


# --- generated conversations ------------------------------------------------------------------

MARKUP = [
    "<tool_call>",
    "</tool_call>",
    '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>',
    "<tool_response>\n",
    "\n</tool_response>",
    "\n</tool_response>\n<tool_response>\n",
    '{"name": "f", "parameters": {}}',
    '; {"name": "f", "parameters": {"a": 1}}',
    "<think>",
    "</think>",
    "<think>\n",
    "\n</think>\n\n",
    "[]",
    '["a", "b"]',
    "{}\n\n",
    hermes._BEFORE_TOOLS,
    hermes._BEHIND_TOOLS,
    llama3._BEFORE_TOOLS,
    "user: ",
    "\n",
    "\r\n",
    "\u2028",
    " ",
]
CHARACTERS = st.characters(exclude_categories=["Cs"])
PLAIN = st.text(CHARACTERS.filter(lambda c: c not in "<{["), max_size=12)
HOSTILE = st.lists(st.sampled_from(MARKUP) | PLAIN, max_size=4).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS, max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text(CHARACTERS, max_size=6), JSON, max_size=3)


def written(value: dict[str, Any], spaced: bool) -> str:
    return json.dumps(value) if spaced else json.dumps(value, separators=(",", ":"))


ARGUMENTS = st.builds(written, OBJECTS, st.booleans())


@st.composite
def steps(draw: st.DrawFn, texts: st.SearchStrategy[str], most_calls: int) -> list[Message]:
    """Calls side by side, and what they returned in any order."""
    function = st.builds(FunctionCall, st.sampled_from(["get_order", "find"]), ARGUMENTS)
    functions = draw(st.lists(function, min_size=1, max_size=most_calls))
    ids = draw(st.lists(st.uuids(), min_size=len(functions), max_size=len(functions), unique=True))
    calls = [ToolCall(str(one), each) for one, each in zip(ids, functions, strict=True)]
    beside = draw(st.none() | texts)
    seen = [Message("tool", draw(texts), tool_call_id=call.id, name="f") for call in calls]
    return [Message("assistant", beside, calls), *draw(st.permutations(seen))]


@st.composite
def conversations(
    draw: st.DrawFn, texts: st.SearchStrategy[str] = HOSTILE, most_calls: int = 3
) -> Conversation:
    messages = [Message("system", draw(texts))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(texts)))
        for step in draw(st.lists(steps(texts, most_calls), max_size=2)):
            messages += step
        messages.append(Message("assistant", draw(texts)))
    reward = draw(st.none() | st.floats(0, 1))
    return Conversation(messages, draw(st.sampled_from([[], [TOOL]])), "run:7", reward)


SOME = settings(
    deadline=None,
    database=None,
    max_examples=70,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
FEW = settings(SOME, max_examples=30)


@each_in_normal_form
@SOME
@given(written=conversations())
def test_what_is_written_reads_back_in_normal_form_or_is_refused(form, normal, written) -> None:
    try:
        line = form.write(written)
    except NotWritable:
        return
    assert form.read(lossless_line(line)) == normal(written)


@each_in_normal_form
@FEW
@given(written=conversations(PLAIN))
def test_text_without_markup_is_never_refused(form, normal, written) -> None:
    assert form.read(lossless_line(form.write(written))) == normal(written)


@FEW
@given(conversations())
def test_openai_lines_hold_everything(written: Conversation) -> None:
    assert openai.read(lossless_line(openai.write(written))) == written


@FEW
@given(st.lists(conversations(), min_size=1, max_size=3))
def test_parquet_holds_everything(tmp_path_factory, written: list[Conversation]) -> None:
    path = tmp_path_factory.mktemp("parquet") / "c.parquet"
    write_parquet(path, written)
    assert list(read_conversations(path)) == written


@FEW
@given(conversations())
def test_the_normal_form_keeps_what_was_said_called_and_seen(written: Conversation) -> None:
    normal = normal_form(written)
    assert normal_form(normal) == normal
    assert (normal.tools, normal.id, normal.reward) == (written.tools, written.id, written.reward)
    assert told(normal) == told(written)


def told(conversation: Conversation) -> list[object]:
    """What a conversation tells, whatever its calls are numbered and ordered by."""
    parts: list[object] = []
    order: dict[str | None, int] = {}
    for message in conversation.messages:
        if message.role == "tool":
            parts.append(("tool", order[message.tool_call_id], message.content or ""))
        elif message.content or message.role != "system":
            parts.append((message.role, message.content or ""))
        for call in message.tool_calls or ():
            order[call.id] = len(order)
            parts.append((call.function.name, json.loads(call.function.arguments)))
    # Observations of calls side by side come in any order.
    return sorted(parts, key=repr)


# --- the real conversations -------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> list[Conversation]:
    """The 100 of GPT-4o as they stand in the file, system message and ###STOP### included."""
    path = DATA / "tau_bench" / "airline_gpt4o_trajectories.jsonl"
    if not path.exists():
        pytest.skip(f"the real conversations are not beside this checkout ({path})")
    tools = load_environment("airline").tools
    return [msgspec.structs.replace(each, tools=tools) for each in read_conversations(path)]


def test_the_real_file_is_read_as_it_is(real: list[Conversation], airline_seeds: Path) -> None:
    lines = [json.loads(line) for line in airline_seeds.read_text().splitlines()]
    assert [each.reward for each in real] == [line["reward"] for line in lines]
    assert [len(each.messages) for each in real] == [len(line["traj"]) for line in lines]
    for each, line in zip(real, lines, strict=True):
        for message, raw in zip(each.messages, line["traj"], strict=True):
            assert {"content": None} | message.as_wire() == raw
    assert real[2].id == "airline_gpt4o_trajectories:3"


@each_in_normal_form
def test_the_real_ones_go_through_a_file_in_normal_form(form, normal, real, tmp_path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(form.write(each)) + b"\n" for each in real))
    assert list(read_conversations(path)) == [normal(each) for each in real]


def test_the_real_ones_go_through_openai_and_parquet_as_they_are(real, tmp_path: Path) -> None:
    lines, table = tmp_path / "c.jsonl", tmp_path / "c.parquet"
    lines.write_bytes(b"".join(msgspec.json.encode(openai.write(e)) + b"\n" for e in real))
    write_parquet(table, real)
    assert list(read_conversations(lines)) == list(read_conversations(table)) == real


# --- chat templates ---------------------------------------------------------------------------


@cache
def compiled(template: str) -> jinja2.Template:
    """As `transformers` compiles chat templates."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    return environment.from_string((TEMPLATES / f"{template}.jinja").read_text())


def render(template: str, messages: list[dict[str, Any]], tools: Any = None) -> str:
    return compiled(template).render(messages=messages, tools=tools or None)


def with_objects(conversation: Conversation) -> list[dict[str, Any]]:
    """OpenAI messages as chat templates want them: arguments are objects, texts are there."""
    messages = [message.as_wire() for message in conversation.messages]
    for message in messages:
        message.setdefault("content", "")
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def assert_hermes_is_what_qwen_renders(conversation: Conversation) -> None:
    written = hermes.write(conversation)["messages"]
    meant = with_objects(normal_form(conversation))
    assert render("chatml", written) == render("qwen2_5", meant, conversation.tools)


def test_hermes_text_of_the_real_ones_is_what_qwens_template_renders(real) -> None:
    for each in real:
        assert_hermes_is_what_qwen_renders(each)


@FEW
@given(conversations())
def test_hermes_text_is_what_qwens_template_renders(written: Conversation) -> None:
    assume(written.messages[0].role == "system" and written.messages[0].content)
    try:
        hermes.write(written)
    except NotWritable:
        assume(False)
    assert_hermes_is_what_qwen_renders(written)


def assert_llama3_is_what_llama_renders(conversation: Conversation) -> None:
    """But for the line that this template writes if it is given tools, and text beside calls."""
    written = llama3.write(conversation)["messages"]
    meant = render("llama3_1", with_objects(normal_form(conversation)), conversation.tools)
    assert render("llama3_1", written) == meant.replace("Environment: ipython\n", "", 1)


def without_text_beside_calls(conversation: Conversation) -> Conversation:
    messages = [
        msgspec.structs.replace(message, content=None) if message.tool_calls else message
        for message in conversation.messages
    ]
    return msgspec.structs.replace(conversation, messages=messages)


def test_llama3_text_of_the_real_ones_is_what_llamas_template_renders(real) -> None:
    for each in real:
        assert_llama3_is_what_llama_renders(without_text_beside_calls(each))


@FEW
@given(conversations(most_calls=1))
def test_llama3_text_is_what_llamas_template_renders(written: Conversation) -> None:
    policy = Message("system", "Be kind.")
    bare = without_text_beside_calls(written)
    messages = [policy, *(m for m in bare.messages if m.role != "system")]
    written = msgspec.structs.replace(bare, messages=messages)
    try:
        llama3.write(written)
    except NotWritable:
        assume(False)
    assert_llama3_is_what_llama_renders(written)


# --- what each format writes ------------------------------------------------------------------

TWO = conversation(
    POLICY,
    ASK,
    Message("assistant", "I look.", calls_of('{"id":"W1"}', '{"id":2.0}')),
    *observed("[1]", "none"),
    REPLY,
)


def test_hermes_has_calls_in_tags_and_observations_in_one_turn() -> None:
    _, ask, calls, seen, _ = hermes.write(TWO)["messages"]
    assert ask == {"role": "user", "content": "Where is it?"}
    assert calls["content"] == (
        'I look.\n<tool_call>\n{"name": "get_order", "arguments": {"id": "W1"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "get_order", "arguments": {"id": 2.0}}\n</tool_call>'
    )
    assert seen == {
        "role": "user",
        "content": "<tool_response>\n[1]\n</tool_response>\n"
        "<tool_response>\nnone\n</tool_response>",
    }


def test_llama3_has_parameters_and_observations_of_ipython() -> None:
    _, _, calls, *seen, _ = llama3.write(TWO)["messages"]
    assert calls["content"] == (
        'I look.\n{"name": "get_order", "parameters": {"id": "W1"}}; '
        '{"name": "get_order", "parameters": {"id": 2.0}}'
    )
    assert seen == [{"role": "ipython", "content": text} for text in ("[1]", "none")]


def test_sharegpt_has_a_list_of_calls_behind_a_thought_and_a_list_of_observations() -> None:
    line = sharegpt.write(TWO)
    assert line["conversations"][1:3] == [
        {
            "from": "function_call",
            "value": '<think>\nI look.\n</think>\n\n[{"name": "get_order", "arguments": '
            '{"id": "W1"}}, {"name": "get_order", "arguments": {"id": 2.0}}]',
        },
        {"from": "observation", "value": '["[1]", "none"]'},
    ]
    assert line["system"] == "Be kind."
    assert json.loads(line["tools"]) == [TOOL["function"]]


def test_sharegpt_keeps_the_one_observation_of_a_single_call_as_it_is() -> None:
    listing = conversation(ASK, CALL, *observed('["a", "b"]'), REPLY)
    assert sharegpt.write(listing)["conversations"][2]["value"] == '["a", "b"]'
    assert sharegpt.read(sharegpt.write(listing)).messages[2].content == '["a", "b"]'


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("I look.", "<think>I look.</think>"),
        ("<think>Hm.</think>", "<think>Hm.</think>"),
        ("<think>\nHm.\n</think>\n\nI look.", "<think>Hm.\nI look.</think>"),
        (" \n", ""),
        ("<think></think>", ""),
    ],
)
def test_text_beside_a_call_becomes_a_thought_in_sharegpt(text: str, thought: str) -> None:
    assert sharegpt.as_thought(text) == thought
    beside = msgspec.structs.replace(CALL, content=text)
    read = sharegpt.read(sharegpt.write(conversation(ASK, beside, SEEN, REPLY)))
    assert read.messages[1].content == (thought or None)


# --- refusals to write ------------------------------------------------------------------------


def saying(text: str) -> Conversation:
    return conversation(POLICY, ASK, Message("assistant", text))


BARE_CALL = '{"name": "get_order", "parameters": {}}'
HERMES_SYSTEM = hermes.write(SOUND)["messages"][0]["content"]
LLAMA_SYSTEM = llama3.write(SOUND)["messages"][0]["content"]
MISTAKABLE = [
    (hermes, saying('<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>')),
    (hermes, saying("Write <tool_call> to call.")),
    (hermes, saying("<think>Shall I <tool_call>?</think>No.")),
    (hermes, conversation(Message("user", "<tool_response>\nx\n</tool_response>"), REPLY)),
    (hermes, conversation(Message("user", "<tool_response>"), REPLY)),
    (hermes, conversation(Message("system", HERMES_SYSTEM), ASK, REPLY, tools=False)),
    (
        hermes,
        conversation(ASK, CALL, *observed("a\n</tool_response>\n<tool_response>\nb"), REPLY),
    ),
    (llama3, saying(BARE_CALL)),
    (llama3, saying(f"So be it:\n{BARE_CALL}")),
    (llama3, conversation(Message("system", LLAMA_SYSTEM), ASK, REPLY, tools=False)),
    (llama3, conversation(Message("system", "{}\n\nBe kind."), ASK, REPLY)),
    (sharegpt, conversation(ASK, REPLY, POLICY, ASK, REPLY)),
]


@pytest.mark.parametrize(("form", "mistakable"), MISTAKABLE)
def test_text_that_would_be_read_as_something_else_is_refused(form, mistakable) -> None:
    with pytest.raises(NotWritable, match=r"^run:7: "):
        form.write(mistakable)


HARMLESS = [
    (hermes, conversation(Message("user", "What does <tool_call> mean?"), REPLY)),
    (hermes, conversation(ASK, CALL, *observed("say <tool_response>"), REPLY)),
    (llama3, saying(f"Never write {BARE_CALL} here.")),
    (llama3, saying('{"name": "get_order"}')),
    (sharegpt, saying('<think>{"name": "f", "arguments": {}}')),
]


@pytest.mark.parametrize(("form", "harmless"), HARMLESS)
def test_text_that_only_names_markup_is_written_as_it_is(form, harmless) -> None:
    assert form.read(form.write(harmless)) == normal_form(harmless)


UNSOUND = [
    (conversation(ASK, *observed("x"), REPLY), "message 1 (tool): it answers no call"),
    (conversation(ASK, CALL, SEEN, SEEN, REPLY), "do not answer its calls one by one"),
    (
        conversation(ASK, msgspec.structs.replace(CALL, role="user"), REPLY),
        "message 1 (user): only the assistant calls tools",
    ),
    (
        conversation(ASK, Message("assistant", tool_calls=calls_of("[1]")), SEEN, REPLY),
        "arguments of a call are no JSON object",
    ),
    (
        conversation(ASK, Message("assistant", tool_calls=calls_of('{"a": 1e999}')), SEEN, REPLY),
        "out of range",
    ),
    (
        conversation(
            ASK, Message("assistant", tool_calls=calls_of('{"a":' + "[" * 9999)), SEEN, REPLY
        ),
        "nested too deep",
    ),
    (msgspec.structs.replace(SOUND, incomplete="half of it is lost"), "half of it is lost"),
]


@each_in_normal_form
@pytest.mark.parametrize(("unsound", "reason"), UNSOUND)
def test_what_is_not_sound_is_refused_by_name(form, normal, unsound, reason: str) -> None:
    with pytest.raises(NotWritable) as refused:
        form.write(unsound)
    assert str(refused.value).startswith("run:7: ")
    assert reason in str(refused.value)


def test_parquet_refuses_what_is_incomplete_and_openai_tells_it(tmp_path: Path) -> None:
    half = msgspec.structs.replace(SOUND, incomplete="half of it is lost")
    with pytest.raises(NotWritable, match="run:7: is incomplete: half of it is lost"):
        write_parquet(tmp_path / "c.parquet", [half])
    assert openai.read(openai.write(half)) == half


# --- few-shot text ----------------------------------------------------------------------------


def test_few_shot_text_is_read_and_told_to_be_incomplete() -> None:
    files = [DATA / "tau_bench" / f"{name}_few_shot.jsonl" for name in ("airline", "retail")]
    if not files[0].exists():
        pytest.skip("the few-shot files are not beside this checkout")
    read = [each for path in files for each in read_conversations(path)]
    untold = [m for each in read for m in each.messages if m.role == "assistant" and not m.content]
    assert (len(read), len(untold)) == (88, 538)
    assert sum(each.incomplete is not None for each in read) == 87
    assert read[0].incomplete == "2 of its tool calls are not told (`assistant: None`)"


SPLIT = [
    ("user: Hi\nassistant: Hello", [("user", "Hi"), ("assistant", "Hello")]),
    ("user: Hi,\n\nuser: me\nassistant: ", [("user", "Hi,\n\nuser: me"), ("assistant", "")]),
    # Who has just spoken cannot be who speaks next: such a line is text.
    ("user: I said\nuser: no\ntool: box", [("user", "I said\nuser: no\ntool: box")]),
    ("assistant: a\ntool: b\nuser: c", [("assistant", "a"), ("tool", "b\nuser: c")]),
    ("assistant: None\ntool: None", [("assistant", None), ("tool", "None")]),
    ("assistant: None of it.", [("assistant", "None of it.")]),
]


@pytest.mark.parametrize(("text", "turns"), SPLIT)
def test_few_shot_text_is_split_where_a_role_may_speak(text: str, turns: list[Any]) -> None:
    read = tau_bench.read_display({"messages_display": text})
    assert [(message.role, message.content) for message in read.messages] == turns


@pytest.mark.parametrize(
    ("text", "untold"),
    [
        ("user: Hi\nassistant: Hello", 0),
        ("assistant: None\ntool: a\nassistant: I look.\ntool: b\nassistant: Done", 2),
        ("assistant: None\ntool: a\nassistant: None", 2),
    ],
)
def test_calls_that_few_shot_text_does_not_tell_are_counted(text: str, untold: int) -> None:
    read = tau_bench.read_display({"messages_display": text})
    reason = f"{untold} of its tool calls are not told (`assistant: None`)"
    assert read.incomplete == (reason if untold else None)


# --- files in the wild ------------------------------------------------------------------------

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
APIGEN = {
    "conversations": [
        {"from": "human", "value": "Where is it?"},
        {"from": "function_call", "value": '{"name": "get_order", "arguments": {"id": "W1"}}'},
        {"from": "observation", "value": "packed"},
        {"from": "gpt", "value": "It is packed."},
    ],
    "tools": json.dumps([TOOL["function"]]),
    "system": "Be kind.",
}


def of_file(tmp_path: Path, data: bytes | str, name: str = "c.jsonl") -> list[Conversation]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_conversations(path))


def test_apigens_shape_is_read(tmp_path: Path) -> None:
    (read,) = of_file(tmp_path, json.dumps(APIGEN))
    call = ToolCall("call_0", FunctionCall("get_order", '{"id":"W1"}'))
    seen = Message("tool", "packed", tool_call_id="call_0")
    said = [Message("assistant", None, [call]), seen, Message("assistant", "It is packed.")]
    assert read == Conversation([POLICY, ASK, *said], [TOOL], "c:1")


def test_sharegpt_in_other_words_is_read_as_the_same(tmp_path: Path) -> None:
    words = {"human": "user", "gpt": "assistant", "observation": "tool"}
    turns = [
        turn | {"from": words.get(turn["from"], turn["from"])} for turn in APIGEN["conversations"]
    ]
    turns = [{"from": "system", "value": "Be kind."}, *turns]
    (read,) = of_file(tmp_path, json.dumps({"conversations": turns, "tools": [TOOL]}))
    assert [read] == of_file(tmp_path, json.dumps(APIGEN))


def test_arguments_given_as_an_object_become_json_text(tmp_path: Path) -> None:
    line = openai.write(SOUND)
    line["messages"][2]["tool_calls"][0]["function"]["arguments"] = {"id": "W1", "n": 1.0}
    (read,) = of_file(tmp_path, json.dumps(line))
    assert read.messages[2].tool_calls[0].function.arguments == '{"id":"W1","n":1.0}'


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(CHAT),
        "\ufeff" + json.dumps(CHAT) + "\r\n\r\n  \n",
        json.dumps([CHAT], indent=2),
        "\ufeff\n [" + json.dumps(CHAT) + "]",
    ],
)
def test_lines_arrays_and_odd_line_ends_are_read_alike(tmp_path: Path, data: str) -> None:
    read = of_file(tmp_path, data)
    assert [message.content for each in read for message in each.messages] == ["Hi", "Hello"]


def test_a_conversation_without_an_id_is_named_by_its_line(tmp_path: Path) -> None:
    mine = json.dumps(CHAT | {"id": "mine"})
    read = of_file(tmp_path, f"{json.dumps(CHAT)}\n\n{mine}\n{json.dumps(CHAT)}")
    assert [each.id for each in read] == ["c:1", "mine", "c:4"]


def test_formats_may_be_mixed_in_one_file(tmp_path: Path) -> None:
    lines = [form.write(SOUND) for form in (openai, hermes, llama3, sharegpt)]
    lines.append({"traj": lines[0]["messages"], "reward": 1.0, "info": {}})
    read = of_file(tmp_path, "\n".join(map(json.dumps, lines)))
    normal = normal_form(SOUND)
    recorded = Conversation(SOUND.messages, [], "c:5", 1.0)
    assert read == [SOUND, normal, normal, normal, recorded]


def test_openai_chat_that_speaks_of_markup_is_still_openai_chat(tmp_path: Path) -> None:
    markup = conversation(ASK, Message("assistant", "Write <tool_call>."), tools=False)
    assert of_file(tmp_path, json.dumps(openai.write(markup))) == [markup]


def chat_with(**message: Any) -> str:
    return json.dumps({"messages": [{"role": "assistant", **message}]})


HALF = '{"messages": [{"role": "user", "content": "\\ud800"}]}'
BAD = [
    (b"", r"c\.jsonl: holds no conversation"),
    (b"\n \n", "holds no conversation"),
    (b"[]", "holds no conversation"),
    (b"{", "line 1: Input data was truncated"),
    (b"\n\n{}", "line 3: no conversation; expected `messages` .*, found no key at all"),
    (b'{"text": "a"}', "line 1: no conversation; .*found `text`"),
    (b"7", "line 1: Expected `object`, got `int`"),
    (b"[1]", "item 1: Expected `object`, got `int`"),
    (b"[{}", "c.jsonl: Input data was truncated"),
    (b'{"messages": "Hi"}', "line 1: `messages`: JSON is malformed"),
    (b'{"messages": "{}"}', "line 1: `messages`: Expected `array`, got `object`"),
    (b'{"messages": {}}', r"line 1: Expected `array`, got `object` - at `\$\.messages`"),
    (b'{"messages": []}', "line 1: a conversation in which nobody speaks"),
    (b'{"messages": [{"role": "user", "content": 1}]}', r"at `\$.messages\[0\].content`"),
    (b'{"messages": [{"role": "robot"}]}', r"value 'robot' - at `\$.messages\[0\].role"),
    (b'{"messages": [{"role": "user", "content": "\xff"}]}', "line 1: is not UTF-8 text"),
    (HALF, r"line 1: .*\\ud800.*half of a surrogate pair"),
    ('{"messages": ' + "[" * 100_000, "line 1: is nested too deep"),
    ("[" * 100_000, "nested too deep|truncated"),
    (json.dumps(CHAT) + '\n{"traj": {}}', "line 2: `traj`: Expected `array`, got `object`"),
    (b'{"messages_display": "Hi"}', "line 1: `messages_display` does not begin with a role"),
    (b'{"messages_display": null}', r"Expected `str`, got `null` - at `\$.messages_display`"),
    (b'{"conversations": [{"from": "moon", "value": ""}]}', r"turn 0 \(moon\): unknown speaker"),
    (b'{"conversations": [{"from": "observation", "value": ""}]}', "answers no call"),
    (b'{"conversations": [{"from": "function_call", "value": "f()"}]}', r"\): its calls: Input"),
    (b'{"conversations": [{"from": "gpt", "value": "a"}], "tools": "{"}', "`tools`: Expected"),
    (chat_with(content="<tool_call>"), r"message 0 \(assistant\): `<tool_call>` is not closed"),
    (chat_with(content="<tool_call>f()</tool_call>"), "holds no JSON object"),
    (chat_with(content='<tool_call>{"name": "f"}</tool_call>'), "required field `arguments`"),
    (chat_with(tool_calls=[{"function": {"name": "f", "arguments": ""}}]), "required field `id`"),
    (chat_with(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": 1}}]), "arguments`"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "sentence"), BAD)
def test_a_bad_file_is_told_by_place_and_field(tmp_path: Path, data: bytes | str, sentence: str):
    with pytest.raises(UsageError, match=sentence) as told:
        of_file(tmp_path, data)
    assert str(told.value).startswith(f"{tmp_path / 'c.jsonl'}: ")
    assert "\n" not in str(told.value)


def test_what_is_no_parquet_and_what_is_no_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"c\.parquet: cannot be read as Parquet"):
        of_file(tmp_path, b"PAR1 and no more", "c.parquet")
    with pytest.raises(UsageError, match=r"none\.jsonl: No such file"):
        list(read_conversations(tmp_path / "none.jsonl"))
    with pytest.raises(UsageError, match="Is a directory"):
        list(read_conversations(tmp_path))


def test_parquet_of_other_formats_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    write_table(Table.from_pylist([APIGEN]), path)
    assert list(read_conversations(path)) == of_file(tmp_path, json.dumps(APIGEN))


def test_a_reward_that_pandas_does_not_know_is_none(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    rewards = [math.nan, None, 0.0]
    write_table(Table.from_pylist([CHAT | {"reward": reward} for reward in rewards]), path)
    assert [each.reward for each in read_conversations(path)] == [None, None, 0.0]


@pytest.mark.parametrize("form", [openai, hermes, llama3])
def test_messages_that_are_json_text_are_read_as_the_same(form: Any, tmp_path: Path) -> None:
    line = form.write(SOUND)
    text = line | {"messages": json.dumps(line["messages"])}
    assert of_file(tmp_path, json.dumps(text)) == of_file(tmp_path, json.dumps(line))
    path = tmp_path / "c.parquet"
    write_table(Table.from_pylist([{"id": line["id"], "messages": text["messages"]}]), path)
    (read,) = read_conversations(path)
    assert [m.role for m in read.messages] == [m.role for m in SOUND.messages]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'simia-async\[parquet\]'"):
        write_parquet(tmp_path / "c.parquet", [SOUND])


def test_a_parquet_file_has_row_groups_and_no_row_is_lost_between_them(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    write_parquet(path, (msgspec.structs.replace(SOUND, id=str(at)) for at in range(600)))
    assert ParquetFile(path).num_row_groups == 3
    assert [each.id for each in read_conversations(path)] == [str(at) for at in range(600)]
