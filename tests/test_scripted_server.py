"""The scripted server as an instrument: what real clients see of it, and what it remembers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import msgspec
import openai
import pytest
from anyio import move_on_after

from simia_async.errors import ConfigError, UsageError
from simia_async.supervision.service import run_service
from simia_async.testing import ChatRequest, Faults, Latency, Quota, RequestLog, ScriptedServer

KEY = "sk-not-for-your-eyes"
HELLO: list[Any] = [{"role": "user", "content": "Hello there, server"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_order",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string", "minLength": 3}},
            "required": ["order_id"],
            "additionalProperties": False,
        },
    },
}
OTHER_TOOL: Any = {"type": "function", "function": {"name": "get_time"}}
SCHEMA: Any = {
    "type": "object",
    "properties": {"reward": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["reward"],
    "additionalProperties": False,
}
SHAPED: Any = {"type": "json_schema", "json_schema": {"name": "judgement", "schema": SCHEMA}}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def client_of(server: ScriptedServer, key: str = "none", **settings: Any) -> openai.AsyncOpenAI:
    settings = {"max_retries": 0, **settings}
    return openai.AsyncOpenAI(base_url=server.base_url, api_key=key, **settings)


async def post(
    http: aiohttp.ClientSession,
    server: ScriptedServer,
    content: str = "Hello",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> aiohttp.ClientResponse:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    url = f"{server.base_url}/chat/completions"
    response = await http.post(url, json=body, headers=headers)
    await response.read()
    return response


async def in_flight(server: ScriptedServer, count: int) -> None:
    """Wait until so many requests are in the server."""
    async with asyncio.timeout(5):
        while server.log.in_flight != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def echo(request: ChatRequest) -> str:
    return f"You said: {request.last}"


# What it says.


async def test_respond_answers_plain_prompts_and_the_log_tells_of_them() -> None:
    async with ScriptedServer(respond=echo) as server, client_of(server, KEY) as client:
        completion = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=9)
    assert completion.choices[0].message.content == "You said: Hello there, server"
    (record,) = server.log.served()
    assert (record.number, record.attempt, record.fault, record.status) == (0, 0, None, 200)
    assert (record.method, record.path) == ("POST", "/v1/chat/completions")
    assert record.body == {"model": "m", "messages": HELLO, "max_tokens": 9}
    assert record.tokens == len("Hello there, server") // 4 + 9
    assert record.finished is not None
    assert record.arrived <= record.finished
    assert record.credential is not None
    assert record.headers["authorization"] == record.credential
    assert KEY not in repr(record)


def test_the_synchronous_client_can_talk_to_it_as_well() -> None:
    async def main() -> str | None:
        async with ScriptedServer(respond=echo) as server:

            def in_a_thread() -> str | None:
                with openai.OpenAI(base_url=server.base_url, api_key="none") as client:
                    completion = client.chat.completions.create(model="m", messages=HELLO)
                    return completion.choices[0].message.content

            return await asyncio.to_thread(in_a_thread)

    assert asyncio.run(main()) == "You said: Hello there, server"


async def test_respond_may_wait_and_may_answer_a_message() -> None:
    async def respond(_: ChatRequest) -> dict[str, Any]:
        await asyncio.sleep(0)
        call = {"function": {"name": "get_order", "arguments": {"order_id": "W1"}}}
        return {"tool_calls": [call]}

    async with ScriptedServer(respond=respond) as server, client_of(server) as client:
        completion = await client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL])
        server.respond = lambda _: {"content": "cut", "finish_reason": "length"}
        cut = await client.chat.completions.create(model="m", messages=HELLO)
    (call,) = completion.choices[0].message.tool_calls or ()
    assert isinstance(call, openai.types.chat.ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, call.function.arguments) == ("get_order", '{"order_id":"W1"}')
    assert completion.choices[0].finish_reason == "tool_calls"
    assert cut.choices[0].finish_reason == "length"


@pytest.mark.parametrize("said", [{"role": 5, "content": 5}, 7])
async def test_a_respond_that_fails_is_a_500_that_says_so(
    http: aiohttp.ClientSession, said: Any
) -> None:
    async with ScriptedServer(respond=lambda _: said) as server:
        response = await post(http, server)
        assert response.status == 500
        assert "respond failed" in await response.text()


async def test_without_respond_a_plain_prompt_is_a_422() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        with pytest.raises(openai.UnprocessableEntityError, match="no <environment> section"):
            await client.chat.completions.create(model="m", messages=HELLO)
    assert server.log[0].status == 422
    assert server.log.served() == []


async def test_an_answer_has_the_shape_that_is_asked_for() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        ask = client.chat.completions.create
        shaped = [
            await ask(model="m", messages=HELLO, response_format=SHAPED, seed=seed)
            for seed in (1, 1, 2)
        ]
        plain = await ask(model="m", messages=HELLO, response_format={"type": "json_object"})
    said = [msgspec.json.decode(c.choices[0].message.content or "") for c in shaped]
    for value in said:
        jsonschema.validate(value, SCHEMA)
    assert said[0] == said[1] != said[2]
    assert isinstance(msgspec.json.decode(plain.choices[0].message.content or ""), dict)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "get_order"),
        ({"type": "function", "function": {"name": "get_time"}}, "get_time"),
    ],
)
async def test_a_tool_is_called_where_it_must_be(choice: Any, name: str) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        completion = await client.chat.completions.create(
            model="m", messages=HELLO, tools=[TOOL, OTHER_TOOL], tool_choice=choice
        )
    message = completion.choices[0].message
    assert message.content is None
    (call,) = message.tool_calls or ()
    assert isinstance(call, openai.types.chat.ChatCompletionMessageFunctionToolCall)
    assert call.function.name == name
    if name == "get_order":
        parameters = TOOL["function"]["parameters"]
        jsonschema.validate(msgspec.json.decode(call.function.arguments), parameters)
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_a_streamed_answer_comes_in_pieces() -> None:
    text = "word " * 40
    async with ScriptedServer(respond=lambda _: text) as server, client_of(server) as client:
        stream = await client.chat.completions.create(
            model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        plain = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert all([chunk.usage is None async for chunk in plain])
    *spoken, last = chunks
    deltas = [chunk.choices[0].delta for chunk in spoken]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == text
    assert len(deltas) > 5
    assert [chunk.choices[0].finish_reason for chunk in spoken][-2:] == [None, "stop"]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == len(text) // 4
    assert all(chunk.usage is None for chunk in spoken)


async def test_a_streamed_tool_call_can_be_put_together() -> None:
    async with (
        ScriptedServer() as server,
        client_of(server) as client,
        client.chat.completions.stream(
            model="m", messages=HELLO, tools=[TOOL], tool_choice="required"
        ) as stream,
    ):
        completion = await stream.get_final_completion()
    (call,) = completion.choices[0].message.tool_calls or ()
    assert len(msgspec.json.decode(call.function.arguments)["order_id"]) >= 3
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_azure_clients_are_served() -> None:
    async with (
        ScriptedServer(respond=echo, api_key=KEY) as server,
        openai.AsyncAzureOpenAI(
            azure_endpoint=server.url, api_key=KEY, api_version="2024-10-21", max_retries=0
        ) as client,
    ):
        completion = await client.chat.completions.create(model="mine", messages=HELLO)
    assert completion.model == "mine"
    assert server.log[0].path == "/openai/deployments/mine/chat/completions"
    assert KEY not in repr(list(server.log))


async def test_models_are_listed_and_can_be_looked_up() -> None:
    async with ScriptedServer(models=("a", "b/c")) as server, client_of(server) as client:
        assert [model.id async for model in client.models.list()] == ["a", "b/c"]
        assert (await client.models.retrieve("b/c")).id == "b/c"
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("z")
    assert caught.value.code == "model_not_found"


# What it refuses.


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": OTHER_TOOL}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": "Hello"}, None),
        ({"temperature": 3}, None),
        (
            {"response_format": {"type": "json_schema", "json_schema": {
                "name": "x", "schema": {"type": 5}}}},
            "response_format",
        ),
        (
            {"tools": [{"type": "function", "function": {
                "name": "x", "parameters": {"properties": 5}}}]},
            "tools[0].function.parameters",
        ),
    ],
)  # fmt: skip
async def test_a_bad_request_is_a_400_that_names_the_parameter(
    http: aiohttp.ClientSession, fields: dict[str, Any], param: str | None
) -> None:
    async with ScriptedServer(respond=echo) as server:
        response = await post(http, server, **fields)
        error = (await response.json())["error"]
    assert (response.status, error["param"]) == (400, param)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b"[]"])
async def test_bytes_that_are_no_request_are_a_400(
    http: aiohttp.ClientSession, body: bytes
) -> None:
    async with ScriptedServer() as server:
        response = await http.post(f"{server.base_url}/chat/completions", data=body)
        assert response.status == 400
        assert "error" in await response.json()


async def test_a_key_that_is_no_text_is_wrong_and_can_be_logged(tmp_path: Path) -> None:
    log = RequestLog(path=tmp_path / "log.jsonl")
    async with ScriptedServer(api_key="right", log=log) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        writer.write(head + b"api-key: \xff\xfe\r\nx-other: \xff\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()
    assert log[0].credential is not None
    assert log[0].headers["x-other"] == "\N{REPLACEMENT CHARACTER}"


async def test_other_paths_and_methods_are_json_errors(http: aiohttp.ClientSession) -> None:
    async with ScriptedServer() as server:
        for method, path, status in (
            ("GET", "/v1/nothing", 404),
            ("POST", "/", 404),
            ("GET", "/v1/chat/completions", 405),
            ("POST", "/openai/deployments/m/chat/completions", 404),
        ):
            async with http.request(method, server.url + path) as response:
                assert response.status == status
                assert "message" in (await response.json())["error"]
    assert [record.status for record in server.log] == [404, 404, 405, 404]


async def test_a_wrong_key_is_a_401_and_is_not_echoed() -> None:
    async with ScriptedServer(respond=echo, api_key="right") as server:
        async with client_of(server, "right") as client:
            await client.chat.completions.create(model="m", messages=HELLO)
        async with client_of(server, KEY) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.chat.completions.create(model="m", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert KEY not in str(caught.value.body)
    first, second = server.log
    assert first.credential != second.credential


async def test_beyond_loopback_only_with_a_key() -> None:
    with pytest.raises(ConfigError, match="needs a key"):
        await ScriptedServer().start("0.0.0.0")


async def test_reasoning_models_are_imitated() -> None:
    server = ScriptedServer(respond=echo, reasoning_model=True)
    async with server, client_of(server) as client:
        ask = client.chat.completions.create
        for parameter, code in (
            ({"max_tokens": 5}, "unsupported_parameter"),
            ({"temperature": 0.5}, "unsupported_value"),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                await ask(model="m", messages=HELLO, **parameter)  # type: ignore[call-overload]
            assert caught.value.code == code
            assert caught.value.param == next(iter(parameter))
        hidden = await ask(model="m", messages=HELLO, max_completion_tokens=50, temperature=1)
        server.show_reasoning = "think"
        inline = await ask(model="m", messages=HELLO)
        server.show_reasoning = "reasoning_content"
        apart = await ask(model="m", messages=HELLO)
    for completion in (hidden, inline, apart):
        assert completion.usage is not None
        assert completion.usage.completion_tokens_details is not None
        assert completion.usage.prompt_tokens_details is not None
        reasoning = completion.usage.completion_tokens_details.reasoning_tokens
        assert reasoning is not None
        assert completion.usage.completion_tokens > reasoning > 0
        assert completion.usage.prompt_tokens_details.cached_tokens == 0
    said = hidden.choices[0].message.content
    assert inline.choices[0].message.content is not None
    assert inline.choices[0].message.content.startswith("<think>Rules")
    assert inline.choices[0].message.content.endswith(f"</think>{said}")
    assert apart.choices[0].message.content == said
    assert "Rules" in apart.choices[0].message.reasoning_content  # type: ignore[attr-defined]


# How long it takes.


async def test_latency_is_drawn_for_the_request_and_not_for_its_place_in_the_line(
    http: aiohttp.ClientSession,
) -> None:
    drawn = []
    for order in (range(5), reversed(range(5))):
        async with ScriptedServer(respond=echo, latency="uniform:0.001,0.02", seed=3) as server:
            sent = {n: await post(http, server, content=str(n)) for n in order}
            told = {n: float(sent[n].headers["x-simia-latency-s"]) for n in range(5)}
            logged = {r.body["messages"][0]["content"]: r for r in server.log.served()}
        for n in range(5):
            record = logged[str(n)]
            assert record.latency_s == pytest.approx(told[n], abs=1e-6)
            assert record.finished is not None
            assert record.finished - record.arrived >= record.latency_s - 1e-3
        drawn.append(told)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0].values())) == 5


async def test_a_header_asks_for_a_latency_and_a_fault(http: aiohttp.ClientSession) -> None:
    async with ScriptedServer(respond=echo, faults=Faults(html=1)) as server:
        slow = await post(
            http, server, headers={"x-simia-latency": "0.03", "x-simia-fault": "none"}
        )
        assert (await slow.json())["choices"]
        assert (await post(http, server)).content_type == "text/html"
        for header in ({"x-simia-fault": "fire"}, {"x-simia-latency": "-1"}):
            assert (await post(http, server, headers=header)).status == 400
    assert [r.latency_s for r in server.log] == [0.03, 0, 0, 0]
    assert server.log.served() == [server.log[0]]


async def test_hundreds_wait_at_once() -> None:
    async with ScriptedServer(respond=echo, latency=Latency.fixed(0.5)) as server:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await asyncio.gather(*(post(http, server, content=str(n)) for n in range(300)))
        assert server.log.max_concurrent == 300
        assert len(server.log.served()) == 300


# How much it admits.


async def test_over_the_quota_is_a_real_429_and_the_headers_tell_of_the_limits(
    http: aiohttp.ClientSession,
) -> None:
    async with ScriptedServer(respond=echo, quota=Quota(rpm=60, tpm=600)) as server:
        first, second = await post(http, server), await post(http, server)
        assert (first.status, second.status) == (200, 429)
        assert first.headers["x-ratelimit-limit-requests"] == "60"
        assert first.headers["x-ratelimit-limit-tokens"] == "600"
        assert first.headers["x-ratelimit-remaining-requests"] == "0"
        assert first.headers["x-ratelimit-remaining-tokens"] == "9"
        assert first.headers["x-ratelimit-reset-requests"].endswith(("s", "ms"))
        assert first.headers["x-ratelimit-reset-tokens"].endswith("ms")
        assert 0 < int(second.headers["retry-after-ms"]) <= 1000
        assert second.headers["retry-after"] == "1"
        error = (await second.json())["error"]
        assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
        assert error["message"].startswith("Rate limit reached for m on requests per min (RPM)")
        too_large = await post(http, server, max_completion_tokens=10_000)
        assert (await too_large.json())["error"]["message"].startswith("Request too large for m")
        server.quota = Quota(rpm=60_000)
        await asyncio.sleep(0.01)
        third = await post(http, server)
        assert (third.status, third.headers["x-ratelimit-limit-requests"]) == (200, "60000")
        assert "x-ratelimit-limit-tokens" not in third.headers
        server.quota = None
        assert "x-ratelimit-limit-requests" not in (await post(http, server)).headers
    assert len(server.log.with_status(429)) == 2


async def test_openais_client_comes_through_a_quota_by_waiting_as_told() -> None:
    quota = Quota(rpm=1200)  # 20 at once, then one in 50 ms
    server = ScriptedServer(respond=echo, quota=quota)
    async with server, client_of(server, max_retries=20) as client:
        ask = client.chat.completions.create
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(ask(model="m", messages=HELLO))
    assert len(server.log.served()) == quota.statistics().admitted == 30
    assert quota.statistics().refused_for_requests == len(server.log.with_status(429)) > 0
    assert quota.statistics().overshoot_requests > 5


# What goes wrong.


async def test_a_retried_request_draws_anew_and_a_rerun_draws_the_same(
    http: aiohttp.ClientSession,
) -> None:
    runs = []
    for _ in range(2):
        faults = Faults(rate_limit=0.3, server_error=0.3, retry_after_s=0)
        async with ScriptedServer(respond=echo, faults=faults, seed=7) as server:
            for n in range(20):
                while (await post(http, server, content=str(n))).status != 200:
                    pass
            runs.append([(r.identity, r.attempt, r.fault, r.status) for r in server.log])
    assert runs[0] == runs[1]
    assert {status for *_, status in runs[0]} == {200, 429, 500, 503}
    assert max(attempt for _, attempt, *_ in runs[0]) > 1


@pytest.mark.parametrize("stream", [False, True])
async def test_faults_of_the_wire(http: aiohttp.ClientSession, stream: bool) -> None:
    async with ScriptedServer(respond=lambda _: "word " * 50) as server:
        whole = await (await post(http, server, stream=stream)).text()
        for fault in ("drop", "drop_mid"):
            with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)):
                await post(http, server, stream=stream, headers={"x-simia-fault": fault})
        truncated = await post(http, server, stream=stream, headers={"x-simia-fault": "truncated"})
        assert truncated.status == 200
        assert 0 < len(await truncated.text()) < len(whole)
        assert "DONE" not in await truncated.text()
        server.faults = Faults(slow_body=1, slow_body_s=0.1)
        began = time.monotonic()
        slow = await post(http, server, stream=stream)
        assert time.monotonic() - began >= 0.1
        assert len(await slow.text()) == len(whole)
        server.faults = Faults(html=1)
        page = await post(http, server, stream=stream)
        assert (page.status, page.content_type) == (200, "text/html")
    assert [r.outcome for r in server.log] == [
        *("answered", "dropped", "dropped"),
        *("answered", "answered", "answered"),
    ]
    assert [r.status for r in server.log] == [200, None, 200, 200, 200, 200]
    assert len(server.log.with_fault()) == 5
    assert len(server.log.with_fault("drop_mid")) == 1


async def test_faults_of_the_model_leave_http_well(http: aiohttp.ClientSession) -> None:
    async with ScriptedServer(faults=Faults(prose=1)) as server:
        prose = await (await post(http, server, response_format=SHAPED)).json()
        server.faults = Faults(malformed=1)
        broken = await (await post(http, server, response_format=SHAPED)).json()
        called = await (await post(http, server, tools=[TOOL], tool_choice="required")).json()
    said = prose["choices"][0]["message"]["content"]
    assert "Sure!" in said
    assert "```json\n{" in said
    call = called["choices"][0]["message"]["tool_calls"][0]
    for text in (broken["choices"][0]["message"]["content"], call["function"]["arguments"]):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(text)


async def test_a_hanging_request_ends_with_its_client_or_with_the_server(
    http: aiohttp.ClientSession,
) -> None:
    async with ScriptedServer(respond=echo, faults=Faults(hang=1)) as server:
        with move_on_after(0.05):
            await post(http, server)
        await in_flight(server, 0)
        assert server.log[0].outcome == "client gone"
        waiting = asyncio.create_task(post(http, server))
        await in_flight(server, 1)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert (server.log[1].outcome, server.log[1].status) == ("server closed", None)
    assert server.log.in_flight == 0


async def test_an_outage_can_be_switched_on_and_off(http: aiohttp.ClientSession) -> None:
    async with ScriptedServer(respond=echo) as server:
        server.down = True
        assert (await post(http, server)).status == 503
        server.down = time.monotonic() + 0.05
        assert (await post(http, server)).status == 503
        await asyncio.sleep(0.06)
        assert (await post(http, server)).status == 200
        port = server.port
        async with server.unreachable():
            with pytest.raises(aiohttp.ClientConnectionError):
                await post(http, server)
        assert (await post(http, server)).status == 200
        assert server.port == port


# What it remembers.


async def test_a_log_may_keep_less(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with ScriptedServer(respond=echo, log_bodies=False) as server:
        await post(http, server)
        assert server.log[0].body is None
        server.log.clear()
        assert len(server.log) == 0
        await post(http, server)
        assert server.log[0].number == 1
    async with ScriptedServer(respond=echo, log=False) as server:
        await post(http, server)
        assert (len(server.log), server.log.max_concurrent) == (0, 1)
    path = tmp_path / "log.jsonl"
    async with ScriptedServer(respond=echo, log=RequestLog(path=path, keep=False)) as server:
        await post(http, server, headers={"Authorization": f"Bearer {KEY}"})
        assert len(server.log) == 0
    assert msgspec.json.decode(path.read_bytes())["body"]["model"] == "m"
    assert KEY.encode() not in path.read_bytes()
    with pytest.raises(ConfigError, match="log"):
        RequestLog(path=tmp_path / "nowhere" / "log.jsonl")


async def test_the_child_takes_the_same_settings(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    flags = ["--latency", "fixed:0.01", "--rpm", "60", "--tpm", "600", "--fault", "prose=1"]
    flags += ["--seed", "4", "--log", str(log), "--no-log-bodies"]
    module = "simia_async.builtin.server"
    async with run_service("simulator", module, print, lambda: flags) as service:
        url = f"{service.base_url}/chat/completions"
        body = {"messages": HELLO, "response_format": {"type": "json_object"}}
        statuses = []
        for _ in range(2):
            async with http.post(url, json=body) as response:
                statuses.append(response.status)
        for _ in range(500):  # A record ends after its answer.
            if len(lines := log.read_bytes().splitlines()) == 2:
                break
            await asyncio.sleep(0.01)
    assert statuses == [200, 429]
    first, second = map(msgspec.json.decode, lines)
    assert (first["fault"], first["latency_s"], first["body"]) == ("prose", 0.01, None)
    assert second["status"] == 429


async def test_a_child_with_bad_settings_says_so() -> None:
    module = "simia_async.builtin.server"
    with pytest.raises(UsageError, match="latency 'soon'"):
        async with run_service("simulator", module, print, lambda: ["--latency", "soon"]):
            pass


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    simia = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
    command = [*simia, "scripted-server", "--port", "0", "--log", str(tmp_path / "log.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as server:
        assert server.stdout is not None
        base_url = server.stdout.readline().split()[-1]
        with openai.OpenAI(base_url=base_url, api_key=KEY) as client:
            assert client.models.list().data[0].id
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 130
    assert KEY not in (tmp_path / "log.jsonl").read_text()
    refused = subprocess.run(
        [*simia, "scripted-server", "--host", "0.0.0.0"], capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "needs a key" in refused.stderr
