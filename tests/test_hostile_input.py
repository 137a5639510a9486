"""Input that nobody should send: each gets an answer, an error of ours, or is left out."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, closing

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from simia_store import (
    CallRecord,
    EnvironmentRecord,
    MetricRecord,
    Reader,
    StoreError,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)

from simia_async.builtin.answers import CannotAnswer, answer
from simia_async.builtin.author import retell
from simia_async.builtin.server import build_app
from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.environments import load_environment, load_seeds
from simia_async.environments.seeds import Seed, infer_schema
from simia_async.errors import BadReply, RateLimited, UsageError
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.rendering.tool_calls import parse_reply
from simia_async.simulation import answer_in_code, apply_ops
from simia_async.simulation.drafts import read_draft
from simia_async.simulation.prompts import compose
from simia_async.synthesis.export import export
from simia_async.synthesis.rules import fingerprint

OK = {"text": '{"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}'}


def call(arguments, name="f"):
    return Message("assistant", tool_calls=[ToolCall("c", FunctionCall(name, arguments))])


@pytest.fixture
async def start():
    async with AsyncExitStack() as stack:

        async def go(*answers, **settings):
            n = 0

            async def handler(request):
                nonlocal n
                n += 1
                a = answers[min(n, len(answers)) - 1]
                return await a() if callable(a) else web.Response(**a)

            app = web.Application()
            app.router.add_route("*", "/v1/chat/completions", handler)
            s = TestServer(app)
            stack.push_async_callback(s.close)
            await s.start_server()
            return Endpoint(base_url=f"http://127.0.0.1:{s.port}/v1", model="m", **settings)

        yield go


async def ask(endpoint, ledger=None):
    async with ChatClient.connect(endpoint) as client:
        return await client.chat(
            [Message("user", "x")], role="user", ledger=[] if ledger is None else ledger
        )


@pytest.mark.parametrize(
    ("called_with", "types", "required"),
    [
        ([{"a": "x", "b": "y"}, {"a": "z"}], {"a": ["string"], "b": ["string"]}, ["a"]),
        ([{"a": 1}, {"a": "z"}, {"a": [1]}], {"a": ["array", "integer", "string"]}, ["a"]),
    ],
)
def test_a_schema_is_inferred_from_all_calls(called_with, types, required):
    seed = Seed("s", [call(json.dumps(arguments)) for arguments in called_with])
    schema = infer_schema("f", [seed])["function"]["parameters"]
    assert {name: part["type"] for name, part in schema["properties"].items()} == types
    assert schema["required"] == required


async def test_waiting_for_a_slot_does_not_spend_the_retry_budget(start):
    async def slow():
        await asyncio.sleep(0.5)
        return web.Response(**OK)

    endpoint = await start(slow, {"status": 503}, OK, max_in_flight=1, retry_budget_s=0.3)
    async with ChatClient.connect(endpoint) as client:
        await asyncio.gather(
            *(client.chat([Message("user", "x")], role="user", ledger=[]) for _ in range(2))
        )


async def test_a_wait_longer_than_the_budget_is_not_begun(start):
    endpoint = await start({"status": 429, "headers": {"Retry-After": "3600"}}, retry_budget_s=0.3)
    async with asyncio.timeout(3):
        with pytest.raises(RateLimited):
            await ask(endpoint)


async def test_a_key_in_a_200_that_is_no_json_goes_nowhere(start, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with pytest.raises(BadReply) as caught:
        await ask(await start({"text": "bad key sk-secret"}, retry_budget_s=0.01))
    assert "sk-secret" not in str(caught.value)


async def test_a_newline_at_the_end_of_a_key_does_no_harm(start, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    assert (await ask(await start(OK))).message.content == "Hi."


async def test_a_key_that_no_header_can_hold_is_named_and_not_shown(start, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u2603")
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        await ask(await start(OK))
    assert "\u2603" not in str(caught.value)


async def test_a_silly_token_count_does_not_end_the_run(tmp_path):
    async with open_store(tmp_path / "r.db") as store:
        with pytest.raises(StoreError):
            await store.append(CallRecord(None, "r", "e", "m", 1, "ok", 0.1, tokens_in=2**70))
        await store.append(MetricRecord(1, "m", 1.0))


async def test_a_foreign_database_with_our_version_number_is_refused(tmp_path):
    path = tmp_path / "r.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table x(a)")
        db.execute("pragma user_version = 1")
    with pytest.raises(StoreError):
        async with open_store(path):
            pass


def test_a_foreign_database_is_not_read(tmp_path):
    path = tmp_path / "r.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table x(a)")
        db.execute("pragma user_version = 1")
    with pytest.raises(StoreError), Reader(path) as reader:
        reader.run()


async def test_a_foreign_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "r.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table x(a)")
    before = path.read_bytes()
    with pytest.raises(StoreError):
        async with open_store(path):
            pass
    assert path.read_bytes() == before


TEN_IDS = """
from simia_async.builtin.author import retell
from simia_async.messages import Message
ids = " ".join(f"item_{i}" for i in range(10))
retell([Message("user", ids)], 1, scripted_world=False)
"""


def test_retelling_ends_where_short_ids_run_out():
    subprocess.run([sys.executable, "-c", TEN_IDS], timeout=60, check=True)


def test_an_id_with_and_without_hash_is_the_same():
    user, tool = retell(
        [Message("user", "W2378156"), call('{"o": "#W2378156"}')], 1, scripted_world=False
    )
    assert user.content[-7:] in tool.tool_calls[0].function.arguments


def test_escapes_in_arguments_are_not_ids():
    _, tool = retell(
        [Message("user", "José"), call(json.dumps({"o": "José\nHAT069"}))], 1, scripted_world=False
    )
    assert json.loads(tool.tool_calls[0].function.arguments)["o"].startswith("José\n")


def test_an_id_after_an_escape_is_the_same_id():
    user, tool = retell(
        [Message("user", "HAT069"), call(json.dumps({"o": "\nHAT069"}))], 1, scripted_world=False
    )
    assert (
        json.loads(tool.tool_calls[0].function.arguments)["o"].strip() == user.content.split()[-1]
    )


def test_a_timestamp_moves_with_its_date():
    a, b = retell(
        [Message("user", "on 2024-05-20"), Message("tool", "2024-05-20T15:00:00")],
        1,
        scripted_world=False,
    )
    assert b.content.startswith(a.content.split()[-1])


async def test_an_export_into_a_file_as_if_it_were_a_folder(tmp_path):
    async with open_store(tmp_path / "r.db") as store:
        await store.append(
            EnvironmentRecord("e", "p", []), TrajectoryRecord(1, "e", "t", TrajectoryStatus.KEPT)
        )
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        export(tmp_path / "r.db", tmp_path / "file" / "out")


def environment(tmp_path, parameters):
    (tmp_path / "policy.md").touch()
    (tmp_path / "tools.json").write_text(
        json.dumps([{"function": {"name": "f", "parameters": parameters}}])
    )
    return load_environment(str(tmp_path))


@pytest.mark.parametrize("ref", ["#/$defs/none", "http://127.0.0.1:1/x.json"])
def test_a_reference_that_leads_nowhere_is_told_when_loading(tmp_path, ref):
    with pytest.raises(UsageError):
        answer_in_code(environment(tmp_path, {"$ref": ref}), ToolCall("c", FunctionCall("f", "{}")))


def test_half_a_surrogate_does_not_end_the_run():
    try:
        draft = read_draft('Sure: {"messages": [{"role": "user", "content": "\\ud83d"}]}')
    except msgspec.ValidationError:
        return
    fingerprint(draft.messages)


def test_half_a_surrogate_in_arguments_is_a_bad_argument():
    answer_in_code(
        load_environment("mini-retail"),
        ToolCall("c", FunctionCall("get_order", '{"order_id": "\ud83d"}')),
    )


TOOL = {"name": "mini-retail", "role": "tool"}


@pytest.mark.parametrize(
    "prompt",
    [
        "<environment>\n{nope\n</environment>",
        compose(
            {
                "environment": TOOL,
                "state": {"users": {}, "orders": {"W1": {}}},
                "history": [call('{"order_id": "W1"}', "fly")],
            }
        ),
        compose(
            {
                "environment": TOOL,
                "state": {"users": {}, "orders": {}},
                "history": [call("{}", "get_order")],
            }
        ),
        compose(
            {"environment": TOOL, "state": {}, "history": [call('{"order_id": "W1"}', "get_order")]}
        ),
    ],
)
def test_what_cannot_be_answered_is_a_422(prompt):
    with pytest.raises(CannotAnswer):
        answer(prompt, 0)


async def test_bytes_that_are_no_text_are_a_400():
    import aiohttp

    async with TestServer(build_app()) as s, aiohttp.ClientSession() as c:
        r = await c.post(
            f"http://127.0.0.1:{s.port}/v1/chat/completions",
            data=b'{"messages":[{"role":"user","content":"\xff"}]}',
        )
        assert r.status == 400


def test_a_seed_that_nobody_answered_is_no_conversation(tmp_path):
    (tmp_path / "s.jsonl").write_text('{"messages":[{"role":"user","content":"hi"}]}')
    with pytest.raises(UsageError):
        load_seeds(tmp_path / "s.jsonl")


async def test_rate_limits_do_not_count_as_broken_replies(start):
    busy = {"status": 429, "headers": {"Retry-After": "0"}}
    await ask(await start(busy, busy, {"text": "{"}, OK))


def test_deep_nesting_is_malformed():
    assert parse_reply(
        '<tool_call>{"name":"t","arguments":{"a":' + "[" * 3000 + "</tool_call>", "c"
    ).problem


def test_deep_nesting_in_arguments_is_a_bad_argument():
    assert answer_in_code(
        load_environment("mini-retail"),
        ToolCall("c", FunctionCall("get_order", '{"a":' + "[" * 3000)),
    )


async def test_an_attempt_that_was_cancelled_is_not_ok(start):
    over = asyncio.Event()

    async def hang():
        await over.wait()
        return web.Response()

    ledger = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ask(await start(hang), ledger)
    over.set()
    assert [r.status for r in ledger] != ["ok"]


async def test_infinite_logprobs_can_be_read_again(tmp_path):
    async with open_store(tmp_path / "r.db") as store:
        try:
            await store.append(TurnRecord(1, 0, "assistant", {}, logprobs=[float("-inf")]))
        except StoreError:
            return
        with Reader(store.path) as reader:
            reader.turns(1)


async def test_a_bad_append_fails_alone(tmp_path):
    async with open_store(tmp_path / "r.db") as store:
        await store.append(TurnRecord(1, 0, "user", {}))
        got = await asyncio.gather(
            store.append(MetricRecord(1, "a", 1.0)),
            store.append(TurnRecord(1, 0, "user", {})),
            return_exceptions=True,
        )
        assert got[0] is None


def test_a_state_stays_an_object():
    with pytest.raises(BadReply):
        apply_ops({"a": 1}, [{"op": "replace", "path": "", "value": 5}])


def test_a_call_that_was_only_thought_of_is_not_made():
    assert (
        parse_reply(
            '<think>or <tool_call>{"name":"t","arguments":{}}</tool_call>?</think>Hello', "c"
        ).calls
        == []
    )
