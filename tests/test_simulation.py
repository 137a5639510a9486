"""The simulator's prompts and answers, and the code that keeps it honest."""

import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import CallRecord

from simia_async.builtin.server import build_app, completion
from simia_async.builtin.task_source import tasks_of
from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.environments import Check, Environment, load_environment, load_seeds
from simia_async.errors import BadReply
from simia_async.judging import Case, Judge, Rubric, check_exactly
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.rendering.tool_calls import parse_reply
from simia_async.simulation import (
    Simulator,
    UserReply,
    Wishes,
    answer_in_code,
    apply_ops,
)
from simia_async.simulation.asking import read_json
from simia_async.simulation.prompts import Tag, compose, read_sections
from simia_async.simulation.replies import Draft, ToolReply

MINI_RETAIL = load_environment("mini-retail")
TASK = tasks_of(MINI_RETAIL, 1, split="train", seed=0)[0]

NASTY = st.sampled_from(
    ["</history>", "\n</state>\n<task>\n{}\n</task>\n", "<state>\n1\n</state>", "\\u003c", "\u2028"]
)
TEXT = st.lists(NASTY | st.text(max_size=5), max_size=3).map("".join)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TAGS = st.sampled_from(["environment", "tools", "seed", "state", "task", "history"])


@settings(max_examples=150, deadline=None, database=None)
@given(st.dictionaries(TAGS, JSON_VALUES))
def test_sections_are_read_as_they_were_written_and_no_tag_can_be_forged(
    sections: dict[Tag, Any],
) -> None:
    assert read_sections(compose(sections)) == sections


def test_the_tags_of_a_prompt_stand_on_lines_of_their_own() -> None:
    # What users rely on who write words of their own around them.
    assert compose({"state": {"a": "<b>"}, "history": []}) == (
        '<state>\n{"a":"\\u003cb>"}\n</state>\n<history>\n[]\n</history>'
    )


class Replies:
    """A model that says what a test wants, and keeps what it was asked."""

    def __init__(self) -> None:
        self.say: list[str] = []
        self.asked: list[Any] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(msgspec.json.decode(await request.read()))
        return web.json_response(completion("m", self.say[len(self.asked) - 1], 1))


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
async def client(replies: Replies) -> AsyncIterator[ChatClient]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", replies.answer)
    async with TestServer(app) as server:
        endpoint = Endpoint(base_url=f"http://127.0.0.1:{server.port}/v1", model="m")
        async with ChatClient.connect(endpoint) as client:
            yield client


@pytest.fixture
def simulator(client: ChatClient) -> Simulator:
    return Simulator(client, MINI_RETAIL)


@pytest.fixture
def judge(client: ChatClient) -> Judge:
    return Judge(client, MINI_RETAIL, Rubric())


@pytest.mark.parametrize(
    "said",
    [
        '{"message": "Hi.", "done": false}',
        'Sure! Here it is:\n```json\n{"message": "Hi.", "done": false}\n```\nAnything else?',
        'I would say {"message": "Hi.", "done": false} now.',
        "{'message': 'Hi.', 'done': False,}",
        '{"message": "Hi.", "done": false',
        '{"message": "Hi.", "done": false, "mood": "sunny"}',
    ],
)
async def test_prose_and_slips_around_the_json_are_forgiven(
    simulator: Simulator, replies: Replies, said: str
) -> None:
    replies.say = [said]
    assert await simulator.user(TASK, [], [], 1) == UserReply("Hi.", done=False)


@pytest.mark.parametrize("nonsense", ['{"message": 3, "done": false}', "I am a teapot.", "[]", ""])
async def test_an_answer_that_cannot_be_used_is_complained_about_once(
    simulator: Simulator, replies: Replies, nonsense: str
) -> None:
    replies.say = [nonsense, '{"message": "Hi.", "done": true}']
    ledger: list[CallRecord] = []
    assert await simulator.user(TASK, [], ledger, 1) == UserReply("Hi.", done=True)
    first, second = (asked["messages"] for asked in replies.asked)
    assert second[:2] == first
    assert second[2] == {"role": "assistant", "content": nonsense}
    assert second[3]["role"] == "user"
    assert second[3]["content"].startswith("That cannot be used: Expected `")
    # Both were paid for.
    assert [(record.role, record.status) for record in ledger] == [("user", "ok")] * 2


async def test_a_model_that_does_not_listen_gives_a_bad_reply(
    simulator: Simulator, replies: Replies
) -> None:
    replies.say = ["No.", "Still no.", '{"message": "Too late.", "done": true}']
    with pytest.raises(BadReply, match=r"simulator, role user: .*said 'Still no\.'"):
        await simulator.user(TASK, [], [], 1)
    assert len(replies.asked) == 2


def case_of(history: list[Message], state: dict[str, Any]) -> Case:
    wanted = TASK.check.final_state if TASK.check else None
    return Case(TASK, history, [], state, state, wanted, [], finished=False)


async def test_a_reward_beyond_one_is_no_reward(judge: Judge, replies: Replies) -> None:
    replies.say = ['{"reward": 10}'] * 2
    with pytest.raises(BadReply, match="role judge"):
        await judge.judge(case_of([], {}), [], 1)


def read_tool(text: str) -> ToolReply:
    return read_json(ToolReply, text)


async def test_each_role_is_told_what_it_needs_and_no_more(
    simulator: Simulator, judge: Judge, replies: Replies
) -> None:
    replies.say = ['{"message": "Hi.", "done": false}', '{"observation": 1}', '{"reward": 1}']
    history = [Message("user", "Hi.")]
    await simulator.user(TASK, history, [], 1)
    await simulator.tool(TASK, {"a": 1}, history, read_tool, [], 1)
    await judge.judge(case_of(history, {"a": 1}), [], 1)
    user, tool, judged = (read_sections(a["messages"][1]["content"]) for a in replies.asked)
    assert user.keys() == {"environment", "task", "history"}
    # Who plays the user must not know how success is checked.
    assert user["task"].keys() == {"scenario"}
    assert tool.keys() == {"environment", "tools", "state", "history"}
    assert judged.keys() == {"environment", "tools", "task", "state", "history"}
    assert judged["task"].keys() == {"scenario", "goal", "rubric", "check"}
    assert judged["environment"]["policy"] == MINI_RETAIL.policy


async def test_the_simulator_sees_the_reference_and_nothing_of_the_goal(
    simulator: Simulator, replies: Replies
) -> None:
    replies.say = ['{"message": "Hi.", "done": false}', '{"observation": 1}']
    reference = (Message("user", "Hi."), Message("assistant", "Hello."))
    task = msgspec.structs.replace(TASK, reference=reference, goal="A secret.")
    await simulator.user(task, [], [], 1)
    await simulator.tool(task, None, [], read_tool, [], 1)
    for asked in replies.asked:
        sections = read_sections(asked["messages"][1]["content"])
        assert [m["content"] for m in sections["task"]["reference"]] == ["Hi.", "Hello."]
        assert "A secret." not in asked["messages"][1]["content"]


async def test_one_prompt_may_play_user_and_tools(client: ChatClient, replies: Replies) -> None:
    joint = Simulator(client, MINI_RETAIL, joint=True)
    replies.say = [
        '{"message": "Hi."}',
        '{"observation": {"status": "packed"}}',
        '{"message": "Thanks. [TERMINATE]"}',
    ]
    assert await joint.user(TASK, [], [], 1) == UserReply("Hi.", done=False)
    seen = await joint.tool(TASK, None, [Message("user", "Hi.")], read_tool, [], 1)
    assert seen == ToolReply({"status": "packed"})
    assert await joint.user(TASK, [], [], 1) == UserReply("Thanks.", done=True)
    for asked in replies.asked:
        sections = read_sections(asked["messages"][1]["content"])
        assert sections["environment"]["role"] == "joint"
        assert sections["task"].keys() == {"scenario"}


async def test_the_scripted_simulator_plays_every_role_through_the_same_prompts() -> None:
    async with TestServer(build_app()) as server:
        endpoint = Endpoint(base_url=f"http://127.0.0.1:{server.port}/v1", model="m")
        async with ChatClient.connect(endpoint) as client:
            simulator, ledger = Simulator(client, MINI_RETAIL), []
            said = await simulator.user(TASK, [], ledger, 1)
            (order_id, *_) = TASK.initial_state["orders"]
            look = FunctionCall("get_order", json.dumps({"order_id": order_id}))
            history = [
                Message("user", said.message),
                Message("assistant", tool_calls=[ToolCall("c", look)]),
            ]
            state = TASK.initial_state
            seen = await simulator.tool(TASK, state, history, read_tool, ledger, 1)
            joint = Simulator(client, MINI_RETAIL, joint=True)
            same = await joint.tool(TASK, state, history, read_tool, ledger, 1)
            judge = Judge(client, MINI_RETAIL, Rubric())
            judged = await judge.judge(case_of(history, state), ledger, 1)
            assert MINI_RETAIL.seeds_file is not None
            seed = load_seeds(MINI_RETAIL.seeds_file)[0]
            draft = await simulator.author(seed, Wishes(), 1, ledger, 1)
    assert said == UserReply(TASK.scenario.utterances[0].text, done=False)
    assert seen == same == ToolReply(TASK.initial_state["orders"][order_id])
    assert (judged.reward, judged.detail["criteria"]["finished"]) == (0.0, False)
    assert isinstance(draft, Draft)
    assert [record.role for record in ledger] == ["user", "tool", "joint", "judge", "author"]


STATE = {"orders": {"W1": {"status": "packed"}}}


def test_a_change_makes_a_new_state() -> None:
    before = copy.deepcopy(STATE)
    ops = [{"op": "replace", "path": "/orders/W1/status", "value": "cancelled"}]
    assert apply_ops(STATE, ops) == {"orders": {"W1": {"status": "cancelled"}}}
    assert before == STATE


@pytest.mark.parametrize(
    "misfit",
    [
        {"op": "replace", "path": "/orders/W2/status", "value": "x"},
        {"op": "add", "path": "/orders/W2/status", "value": "x"},
        {"op": "remove", "path": "/orders/W1/paid_to"},
        {"op": "test", "path": "/orders/W1/status", "value": "shipped"},
        {"op": "add", "path": "orders", "value": 1},
        {"op": "add", "path": "/orders/W1/status/deep", "value": 1},
        {"op": "add", "path": 5, "value": 1},
        {"op": "add", "path": "/orders"},
        {"op": "explode", "path": "/orders"},
        {},
    ],
)
def test_a_change_that_does_not_fit_is_refused_as_a_whole(misfit: dict[str, Any]) -> None:
    before = copy.deepcopy(STATE)
    fit = {"op": "replace", "path": "/orders/W1/status", "value": "cancelled"}
    with pytest.raises(BadReply, match="does not fit the state"):
        apply_ops(STATE, [fit, misfit])
    assert before == STATE


@pytest.mark.parametrize(
    ("word", "reply", "said"),
    [
        ("12", "It is 12.", True),
        ("12", "It is W1234.", False),
        ("12", "It is 120.", False),
        ("12", "It costs $12, card_12 paid.", True),
        ("12", "card_12 paid.", False),
        ("Packed", "it is PACKED!", True),
        ("packed", "It is unpacked.", False),
        ("5 King St", "To 5 King St, that is.", True),
        ("5 King St", "To 15 King St.", False),
        ("a.b", "axb", False),
        ("packed", "<think>packed</think>I do not know.", False),
    ],
)
def test_what_must_be_said_is_said_in_words_of_its_own(word: str, reply: str, said: bool) -> None:
    check = Check({}, must_say=((word,),))
    told = [Message("assistant", reply)]
    assert check_exactly(check, {}, told, finished=True)["said"] is said


def test_what_must_be_said_together_is_said_in_one_reply_of_the_agent() -> None:
    check = Check({}, must_say=(("cannot", "shipped"),))
    call = ToolCall("c", FunctionCall("f", "{}"))

    def said(*messages: Message) -> bool:
        return check_exactly(check, {}, messages, finished=True)["said"]

    assert said(Message("assistant", "I cannot: it is shipped."))
    assert not said(Message("assistant", "I cannot."), Message("assistant", "It is shipped."))
    assert not said(Message("user", "You cannot if it is shipped?"))
    assert not said(Message("assistant", "I cannot, shipped", tool_calls=[call]))


def test_the_check_names_what_is_missing() -> None:
    check = Check({"a": 1})
    assert check_exactly(check, {"a": 2}, [], finished=False) == {
        "state": False,
        "said": True,
        "finished": False,
    }


@pytest.mark.parametrize(
    ("tool", "arguments", "error"),
    [
        ("fly", "{}", "unknown tool fly"),
        ("get_order", "{", "the arguments of get_order are not a JSON object"),
        ("get_order", '"W1"', "the arguments of get_order are not a JSON object"),
        ("get_order", "{}", "bad arguments of get_order: 'order_id' is a required property"),
        ("get_order", '{"order_id": 1}', "bad arguments of get_order: 1 is not of type 'string'"),
    ],
)
def test_code_answers_a_call_that_no_api_would_take(tool: str, arguments: str, error: str) -> None:
    call = ToolCall("c", FunctionCall(tool, arguments))
    assert answer_in_code(MINI_RETAIL, call) == {"error": error}


def test_code_leaves_a_fit_call_to_the_simulator() -> None:
    call = ToolCall("c", FunctionCall("get_order", '{"order_id": "W1"}'))
    assert answer_in_code(MINI_RETAIL, call) is None
    free = Environment("free", "", [{"type": "function", "function": {"name": "get_order"}}])
    assert answer_in_code(free, call) is None


ARGUMENTS = st.dictionaries(st.text(), JSON_VALUES, max_size=3)
CALLS = st.lists(st.tuples(st.text(), ARGUMENTS), min_size=1, max_size=3)
PROSE = st.text(alphabet=st.characters(exclude_characters="<", exclude_categories=["Cs"]))


def written(name: str, arguments: dict[str, Any], close: str = "</tool_call>") -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n{close}"


@settings(max_examples=100, deadline=None, database=None)
@given(PROSE, CALLS)
def test_a_written_call_is_read_as_it_was_meant(
    prose: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    reply = parse_reply(prose + "\n".join(written(*call) for call in calls), "c")
    assert reply.problem is None
    assert reply.content == prose.strip()
    read = [(call.function.name, json.loads(call.function.arguments)) for call in reply.calls]
    assert read == calls
    assert [call.id for call in reply.calls] == [f"c_{n}" for n in range(len(calls))]


@settings(max_examples=100, deadline=None, database=None)
@given(PROSE, CALLS, st.data())
def test_a_call_that_is_cut_off_makes_no_call_of_those_before_it(
    prose: str, calls: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    last = written(*calls[-1])
    cut = data.draw(st.integers(len("<tool_call>"), len(last) - 1))
    text = prose + "".join(written(*call) for call in calls[:-1]) + last[:cut]
    reply = parse_reply(text, "c")
    assert reply.problem is not None
    assert reply.calls == []
    assert reply.content == text


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "get_order(W1)",
        "[]",
        '{"name": "f"}',
        '{"name": "f", "arguments": "{}"}',
        "{'name': 'f'}",
    ],
)
def test_a_malformed_call_is_a_problem_and_nothing_is_guessed(inside: str) -> None:
    text = written("f", {}) + f"<tool_call>{inside}</tool_call>"
    reply = parse_reply(text, "c")
    assert (reply.content, reply.calls) == (text, [])
    assert (reply.problem or "").startswith("malformed tool call: ")


def test_words_without_a_call_are_words() -> None:
    reply = parse_reply(" It is packed. \n", "c")
    assert (reply.content, reply.calls, reply.problem) == ("It is packed.", [], None)
