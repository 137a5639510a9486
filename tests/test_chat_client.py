"""The client of OpenAI-compatible endpoints, against servers that answer as real ones do."""

import asyncio
import socket
from typing import Any

import anyio
import msgspec
import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from simia_store import CallRecord

from simia_async.clients import ChatClient, ChatReply, Usage
from simia_async.clients.headers import read_quota, read_retry_after
from simia_async.config import Endpoint
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
)
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.testing import Faults, ScriptedServer

KEY = "sk-not-for-your-eyes"
OK = {
    "text": '{"choices": [{"message": {"role": "assistant", "content": "Hi."}, '
    '"finish_reason": "stop"}], "usage": {"prompt_tokens": 11, "completion_tokens": 2}}'
}
BUSY = {"status": 429, "headers": {"Retry-After": "0"}}
BROKEN = {"text": '{"choices": [{"mess'}


async def ask(
    endpoint: Endpoint, ledger: list[CallRecord] | None = None, **parameters: Any
) -> ChatReply:
    ledger = [] if ledger is None else ledger
    async with ChatClient.connect(endpoint) as client:
        return await client.chat(
            [Message("user", "Hello")], role="user", ledger=ledger, trajectory_id=7, **parameters
        )


def attempts(ledger: list[CallRecord]) -> list[tuple[int, str]]:
    return [(record.attempt, record.status) for record in ledger]


async def test_an_answer_is_read_and_its_price_is_in_the_ledger(start: Any) -> None:
    ledger: list[CallRecord] = []
    endpoint = await start(OK, usd_per_million_in=1.0, usd_per_million_out=10.0)
    assert await ask(endpoint, ledger) == ChatReply(
        Message("assistant", "Hi."), "stop", Usage(11, 2)
    )
    (record,) = ledger
    assert (record.trajectory_id, record.role, record.model) == (7, "user", "m")
    assert (record.status, record.error) == ("ok", None)
    assert (record.tokens_in, record.tokens_out) == (11, 2)
    assert record.cost_usd == pytest.approx(31e-6)


async def test_tool_calls_and_cached_tokens_are_read(start: Any) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}
    body = {"choices": [{"message": message}], "usage": usage}
    ledger: list[CallRecord] = []
    reply = await ask(await start({"body": msgspec.json.encode(body)}), ledger)
    assert reply.message.tool_calls == [ToolCall("c", FunctionCall("f", "{}"))]
    assert ledger[0].tokens_cached == 8


async def test_parameters_reach_the_server_as_json(start: Any) -> None:
    await ask(await start(OK), temperature=0.5, response_format={"type": "json_object"})
    assert start.bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0.5,
            "response_format": {"type": "json_object"},
        }
    ]


async def test_the_key_is_sent_if_there_is_one(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = await start(OK, api_key_env="SOME_KEY")
    await ask(endpoint)
    monkeypatch.setenv("SOME_KEY", KEY)
    await ask(endpoint)
    keys = [headers.get("Authorization") for headers in start.headers]
    assert keys == [None, f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (BUSY, "RateLimited"),
        ({"status": 503}, "EndpointUnavailable"),
        ({"status": 408}, "EndpointUnavailable"),
        (BROKEN, "BadReply"),
        ({"text": '{"choices": []}'}, "BadReply"),
    ],
    ids=["429", "503", "408", "broken", "no-choices"],
)
async def test_what_may_pass_is_tried_again_and_both_attempts_are_in_the_ledger(
    start: Any, answer: dict[str, Any], status: str
) -> None:
    ledger: list[CallRecord] = []
    reply = await ask(await start(answer, OK), ledger)
    assert reply.message.content == "Hi."
    assert attempts(ledger) == [(1, status), (2, "ok")]


async def test_a_dropped_connection_is_tried_again(start: Any) -> None:
    async def drop(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response(**OK)

    ledger: list[CallRecord] = []
    assert (await ask(await start(drop, OK), ledger)).message.content == "Hi."
    assert attempts(ledger) == [(1, "EndpointUnavailable"), (2, "ok")]


@pytest.mark.parametrize(
    "answer",
    [BROKEN, {"text": "<html>Please log in</html>", "content_type": "text/html"}, {"text": "null"}],
    ids=["broken", "html", "null"],
)
async def test_an_endpoint_that_breaks_the_protocol_three_times_is_believed(
    start: Any, answer: dict[str, Any]
) -> None:
    ledger: list[CallRecord] = []
    with pytest.raises(BadReply, match=r"not the JSON of a completion|a web page"):
        await ask(await start(answer), ledger)
    assert attempts(ledger) == [(1, "BadReply"), (2, "BadReply"), (3, "BadReply")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_not_asked_twice(start: Any, status: int) -> None:
    refusal = {"status": status, "text": '{"error": {"message": "no such thing"}}'}
    ledger: list[CallRecord] = []
    with pytest.raises(EndpointRefused, match=f"HTTP {status}: no such thing"):
        await ask(await start(refusal, OK), ledger)
    assert len(start.bodies) == 1
    assert attempts(ledger) == [(1, "EndpointRefused")]


async def test_a_rate_limit_that_never_ends_is_told_as_such(start: Any) -> None:
    ledger: list[CallRecord] = []
    with pytest.raises(RateLimited, match="HTTP 429"):
        await ask(await start(BUSY, rate_limit_budget_s=0.3), ledger)
    assert {record.status for record in ledger} == {"RateLimited"}


async def test_a_host_where_nothing_listens_is_given_up_after_the_retry_budget() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m", retry_budget_s=0.3)
    ledger: list[CallRecord] = []
    with pytest.raises(EndpointUnavailable, match=f"127.0.0.1:{port}.*connection failed"):
        await ask(endpoint, ledger)
    numbers = list(range(1, len(ledger) + 1))
    assert attempts(ledger) == [(number, "EndpointUnavailable") for number in numbers]


async def test_a_server_that_never_answers_is_given_up(start: Any) -> None:
    over = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    endpoint = await start(hang, timeout_s=0.05, retry_budget_s=0.01)
    with pytest.raises(EndpointUnavailable, match=r"no answer within 0\.05 s"):
        await ask(endpoint)
    over.set()  # or closing the server would wait for the handler


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_key_that_the_server_echoes_goes_nowhere(
    start: Any, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = f"Incorrect API key provided: {KEY}."
    body = msgspec.json.encode({"error": {"message": said}}) if as_json else said.encode()
    ledger: list[CallRecord] = []
    with pytest.raises(EndpointError, match="Incorrect API key") as caught:
        await ask(await start({"status": 401, "body": body}), ledger)
    assert "(key from OPENAI_API_KEY: set)" in str(caught.value)
    for told in (str(caught.value), repr(caught.value), repr(ledger)):
        assert KEY not in told


async def test_check_tells_of_a_wrong_key(start: Any) -> None:
    # Another status in its words is not the one that it answered with.
    endpoint = await start({"status": 401, "text": "HTTP 404"})
    async with ChatClient.connect(endpoint) as client:
        with pytest.raises(EndpointRefused, match=r"HTTP 401: .*OPENAI_API_KEY: not set"):
            await client.check()


@pytest.mark.parametrize("answer", [{"status": 404}, {"status": 405}, BUSY, {"text": "{}"}])
async def test_check_passes_where_there_are_no_models_to_list(
    start: Any, answer: dict[str, Any]
) -> None:
    async with ChatClient.connect(await start(answer)) as client:
        await client.check()


async def test_never_more_than_max_in_flight_reach_the_server_at_once(start: Any) -> None:
    in_flight, most = 0, 0
    # Nobody is answered before five are there: a limit below five would hang, not pass.
    together = asyncio.Barrier(5)

    async def count(_: web.Request) -> web.Response:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await together.wait()
        in_flight -= 1
        return web.Response(**OK)

    endpoint = await start(count, max_in_flight=5)
    async with ChatClient.connect(endpoint) as client, asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(client.chat([Message("user", "Hello")], role="user", ledger=[]))
    assert most == 5
    statistics = client.governor.statistics()
    assert (statistics.in_flight, statistics.waiting, statistics.ok) == (0, 0, 40)


async def test_a_slot_is_free_while_a_call_waits_to_be_tried_again(start: Any) -> None:
    order: list[str] = []

    async def refuse_the_first(request: web.Request) -> web.Response:
        order.append(msgspec.json.decode(await request.read())["messages"][0]["content"])
        late = {"status": 429, "headers": {"Retry-After": "0.2"}}
        return web.Response(**(late if len(order) == 1 else OK))

    endpoint = await start(refuse_the_first, max_in_flight=1)
    async with ChatClient.connect(endpoint) as client, asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(client.chat([Message("user", name)], role="user", ledger=[]))
    assert order == ["first", "second", "first"]


async def test_half_a_surrogate_is_sent_as_a_question_mark(start: Any) -> None:
    async with ChatClient.connect(await start(OK)) as client:
        await client.chat([Message("user", "a\ud83db é")], role="user", ledger=[])
    assert start.bodies[0]["messages"] == [{"role": "user", "content": "a?b é"}]


@given(text=st.text(max_size=40), number=st.floats())
@example(text="Mon, 01 Jan 99999999999999999999 00:00:00 GMT", number=0)
@example(text="9" * 400 + "h", number=1e300)
def test_whatever_a_header_says_a_wait_is_a_sensible_number(text: str, number: float) -> None:
    for said in (text, str(number), f"{number}s"):
        names = ("retry-after", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
        headers = dict.fromkeys(names, said)
        assert 0 <= read_retry_after(headers) <= 86_400
        quota = read_quota(headers, "tokens")
        assert quota is None or 0 <= (quota.reset_s or 0) <= 86_400


async def test_many_calls_come_through_a_server_with_every_fault() -> None:
    faults = Faults(
        rate_limit=0.1, server_error=0.1, drop=0.1, drop_mid=0.1, truncated=0.1, html=0.05,
        slow_body=0.05, hang=0.02, retry_after_s=0.02, slow_body_s=0.1,
    )  # fmt: skip
    async with ScriptedServer(respond=lambda r: r.last, faults=faults, seed=1) as server:
        endpoint = Endpoint(
            base_url=server.base_url, model="m", max_backoff_s=0.02, timeout_s=1,
            malformed_attempts=20,
        )  # fmt: skip
        async with ChatClient.connect(endpoint) as client:

            async def one(number: int) -> str | None:
                asked = [Message("user", f"number {number}")]
                return (await client.chat(asked, role="user", ledger=[])).message.content

            said = await asyncio.gather(*(one(number) for number in range(150)))
            assert client.governor.statistics().in_flight == 0
    assert said == [f"number {number}" for number in range(150)]


async def test_a_run_that_is_cancelled_from_outside_closes_its_client(start: Any) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    endpoint = await start(hang, max_in_flight=5)
    # anyio cancels again at every await, those of the clean-up included.
    with anyio.move_on_after(0.2) as scope:
        async with ChatClient.connect(endpoint) as client, anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(_swallowing_nothing, client)
            async with client.stream([Message("user", "x")], role="user", ledger=[]):
                pass
    assert scope.cancelled_caught
    statistics = client.governor.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert client._streams._opened is None or client._streams._opened.closed


async def _swallowing_nothing(client: ChatClient) -> None:
    await client.chat([Message("user", "x")], role="user", ledger=[])
