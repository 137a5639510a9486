"""What differs between endpoints that all claim to speak OpenAI's protocol."""

import asyncio
import json
import sys
import time
from typing import Any

import openai
import pytest
from aiohttp import web
from yarl import URL

from simia_async.clients import ChatClient
from simia_async.clients.dialect import Dialect
from simia_async.config import Endpoint
from simia_async.errors import EndpointRefused, EndpointUnavailable, UsageError
from simia_async.messages import Message
from simia_async.testing import ScriptedServer

HELLO = [Message("user", "Hello")]
OK = {"text": '{"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}'}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
JSON = {"type": "json_object"}
KEY = "sk-not-for-your-eyes"


def refusal(message: str, param: str | None = None, code: Any = None, status: int = 400) -> Any:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return {"status": status, "text": json.dumps({"error": error})}


async def ask(endpoint: Endpoint, times: int = 1, **parameters: Any) -> list[str | None]:
    async with ChatClient.connect(endpoint) as client:
        calls = (client.chat(HELLO, role="user", ledger=[], **parameters) for _ in range(times))
        return [reply.message.content for reply in await asyncio.gather(*calls)]


def sent(start: Any, *names: str) -> list[dict[str, Any]]:
    """What each request held, of the parameters."""
    kept = names or {name for body in start.bodies for name in body} - {"model", "messages"}
    return [{name: body[name] for name in kept if name in body} for body in start.bodies]


# Refusals as the servers word them, and what is sent after each of them.
MAX_TOKENS = refusal(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
    "max_tokens",
    "unsupported_parameter",
)
TEMPERATURE = refusal(
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) "
    "value is supported.",
    "temperature",
    "unsupported_value",
)
NO_SCHEMA = refusal(
    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. "
    "Learn more about supported models at the Structured Outputs guide."
)
NO_JSON = refusal(
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
    "'json_object'.",
    "messages",
)
OLD_OPENAI = refusal("Unrecognized request argument supplied: seed")
THINKING = refusal('"llama3.2" does not support thinking')
VLLM = {
    "status": 400,
    "text": json.dumps(
        {
            "object": "error",
            "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs "
            "are not permitted', 'input': 7}]",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        }
    ),
}
FASTAPI = {
    "status": 422,
    "text": json.dumps(
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "seed"],
                    "msg": "Extra inputs are not permitted",
                    "input": {"temperature": 1},
                }
            ]
        }
    ),
}
MISTRAL = {
    "status": 422,
    "text": json.dumps(
        {"object": "error", "message": json.loads(FASTAPI["text"]), "type": "invalid_request_error"}
    ),
}
GIVEN = {"max_tokens": 9, "temperature": 0.2, "seed": 7, "reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("said", "gone", "come"),
    [
        (MAX_TOKENS, {"max_tokens"}, {"max_completion_tokens": 9}),
        (TEMPERATURE, {"temperature"}, {}),
        (OLD_OPENAI, {"seed"}, {}),
        (VLLM, {"seed"}, {}),
        (FASTAPI, {"seed"}, {}),
        (MISTRAL, {"seed"}, {}),
        (THINKING, {"reasoning_effort"}, {}),
    ],
    ids=["max_tokens", "temperature", "openai", "vllm", "fastapi", "mistral", "ollama"],
)
async def test_what_a_refusal_names_is_left_out_or_renamed_and_nothing_else(
    start: Any, said: Any, gone: set[str], come: dict[str, Any]
) -> None:
    endpoint = await start(said, OK)
    async with ChatClient.connect(endpoint) as client:
        for _ in range(2):
            await client.chat(HELLO, role="user", ledger=[], **GIVEN)
    after = {name: value for name, value in GIVEN.items() if name not in gone} | come
    assert sent(start) == [GIVEN, after, after]  # asked once, known from then on


async def test_a_schema_becomes_json_mode_and_then_nothing(start: Any) -> None:
    assert await ask(await start(NO_SCHEMA, NO_JSON, OK), response_format=SCHEMA) == ["Hi."]
    assert sent(start, "response_format") == [
        {"response_format": SCHEMA},
        {"response_format": JSON},
        {},
    ]


async def test_only_schemas_are_weakened_where_only_schemas_are_refused(start: Any) -> None:
    async with ChatClient.connect(await start(NO_SCHEMA, OK)) as client:
        for form in (SCHEMA, JSON, {"type": "text"}):
            await client.chat(HELLO, role="user", ledger=[], response_format=form)
    forms = [body["response_format"] for body in start.bodies]
    assert forms == [SCHEMA, JSON, JSON, {"type": "text"}]


@pytest.mark.parametrize(
    "said",
    [
        refusal("Unsupported parameter: 'tools' is not supported with this model.", "tools"),
        refusal("Unsupported parameter: 'stop' is not supported with this model.", "stop"),
        refusal('"gemma" does not support tools'),
        refusal("This model's maximum context length is 8192 tokens.", "messages"),
        refusal("max_tokens is too large: 9.", "max_tokens", "invalid_value"),
        refusal("Unsupported content in messages: see 'seed'", "messages[0].content"),
        refusal("Unsupported country", code="unsupported_country_region_territory", status=403),
        refusal("I do not like you"),
    ],
)
async def test_a_refusal_of_what_a_call_needs_is_raised_at_once(start: Any, said: Any) -> None:
    given = {**GIVEN, "stop": ["x"], "tools": []}
    with pytest.raises(EndpointRefused):
        await ask(await start(said, OK), **given)
    assert len(start.bodies) == 1


@pytest.mark.parametrize(
    "said",
    [
        MAX_TOKENS, TEMPERATURE, NO_SCHEMA, NO_JSON, VLLM,
        refusal("neither max_tokens nor max_completion_tokens are supported: unsupported"),
        refusal("unsupported: temperature seed max_tokens response_format reasoning_effort"),
    ],
    ids=["max_tokens", "temperature", "schema", "json", "vllm", "neither", "all"],
)  # fmt: skip
async def test_an_endpoint_that_always_refuses_is_believed_in_the_end(
    start: Any, said: Any
) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(EndpointRefused):
            await ask(await start(said), **GIVEN, response_format=SCHEMA)
    assert len(start.bodies) <= 8


async def test_calls_that_are_refused_at_once_learn_together(start: Any) -> None:
    together = asyncio.Barrier(20)
    asked = 0

    async def strict(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked <= 20:
            await together.wait()
        body = await request.json()
        for name, said in (("max_tokens", MAX_TOKENS), ("temperature", TEMPERATURE)):
            if name in body:
                return web.Response(**said)
        if body.get("response_format", {}).get("type") == "json_schema":
            return web.Response(**NO_SCHEMA)
        return web.Response(**OK)

    given = {"max_tokens": 9, "temperature": 0.2, "response_format": SCHEMA}
    # A known quota: without one, few calls go before the first answer.
    endpoint = await start(strict, requests_per_minute=600_000)
    assert await ask(endpoint, times=20, **given) == ["Hi."] * 20
    assert sent(start)[-20:] == [{"max_completion_tokens": 9, "response_format": JSON}] * 20


@pytest.mark.parametrize("model", ["gpt-5", "m"])
async def test_a_reasoning_model_is_spoken_to_as_it_wants(model: str) -> None:
    async with ScriptedServer(reasoning_model=True, respond=lambda _: "Hi.") as server:
        endpoint = Endpoint(base_url=server.base_url, model=model, temperature=0.2, max_tokens=99)
        assert await ask(endpoint, times=3) == ["Hi."] * 3
        async with (
            ChatClient.connect(endpoint) as client,
            client.stream(HELLO, role="user", ledger=[]) as stream,
        ):
            assert "".join([piece async for piece in stream]) == "Hi."
        last = server.log.served()[-1].body
    assert last["max_completion_tokens"] == 99
    assert "temperature" not in last


async def test_a_stream_learns_as_well(start: Any) -> None:
    said = refusal("Unrecognized request argument supplied: stream_options")
    event = 'data: {"choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]}\n\n'
    endpoint = await start(said, {"text": event, "content_type": "text/event-stream"})
    async with (
        ChatClient.connect(endpoint) as client,
        client.stream(HELLO, role="user", ledger=[]) as stream,
    ):
        assert [piece async for piece in stream] == ["Hi."]
    assert [body.get("stream_options") for body in start.bodies] == [{"include_usage": True}, None]
    assert all(body["stream"] for body in start.bodies)


# URLs and keys.

DATED = "?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("base_url", "version", "chat", "models"),
    [
        ("https://x.openai.azure.com", None, "/openai/v1/chat/completions", "/openai/v1/models"),
        ("https://x.openai.azure.com/openai/", None, "/openai/v1/chat/completions", None),
        ("https://x.openai.azure.com/openai/v1/", None, "/openai/v1/chat/completions", None),
        (
            "https://x.openai.azure.com/",
            "2024-10-21",
            f"/openai/deployments/m%2Fn/chat/completions{DATED}",
            f"/openai/models{DATED}",
        ),
        (
            "https://x.openai.azure.com/openai",
            "2024-10-21",
            f"/openai/deployments/m%2Fn/chat/completions{DATED}",
            None,
        ),
        (
            "https://x.openai.azure.com/openai/deployments/mine",
            "2024-10-21",
            f"/openai/deployments/mine/chat/completions{DATED}",
            f"/openai/models{DATED}",
        ),
        (
            "https://x.openai.azure.com/openai/v1",
            "preview",
            "/openai/v1/chat/completions?api-version=preview",
            None,
        ),
    ],
)
def test_azures_forms_of_urls(
    base_url: str, version: str | None, chat: str, models: str | None
) -> None:
    endpoint = Endpoint(base_url=base_url, model="m/n", provider="azure", api_version=version)
    dialect = Dialect(endpoint)
    origin = "https://x.openai.azure.com"
    assert str(dialect.url("/chat/completions")) == origin + chat
    if models:
        assert str(dialect.url("/models")) == origin + models


def test_a_query_in_a_base_url_stays_at_the_end() -> None:
    endpoint = Endpoint(base_url="http://x:81/a%2Fb/v1/?team=a", model="m")
    url = URL("http://x:81/a%2Fb/v1/chat/completions?team=a", encoded=True)
    assert Dialect(endpoint).url("/chat/completions") == url


@pytest.mark.parametrize("version", ["2024-10-21"])
async def test_azure_is_asked_with_its_own_header(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_KEY", KEY)
    async with ScriptedServer(api_key=KEY, respond=lambda _: "Hi.") as server:
        endpoint = Endpoint(
            base_url=server.url, model="mine", provider="azure", api_version=version,
            api_key_env="AZURE_KEY",
        )  # fmt: skip
        assert await ask(endpoint) == ["Hi."]
        (record,) = server.log.served()
    assert record.path == "/openai/deployments/mine/chat/completions"
    assert "authorization" not in record.headers


async def test_who_asks_is_told_to_the_endpoint(start: Any) -> None:
    await ask(await start(OK))
    assert start.headers[0]["User-Agent"].startswith("simia-async/")


# Microsoft Entra, through the real package and a managed identity's endpoint on loopback.


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.identity", reason="the extra azure is not installed")
    monkeypatch.setenv("IDENTITY_HEADER", "secret-of-the-machine")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


class Identity:
    """What Azure's hosts run on loopback; its tokens are good for `lifetime_s`."""

    def __init__(self, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self.tokens = 0

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["X-IDENTITY-HEADER"] == "secret-of-the-machine"
        assert request.query["resource"] == "https://cognitiveservices.azure.com"
        self.tokens += 1
        expires = int(time.time() + self.lifetime_s)
        token = {"access_token": f"eyJ-token-number-{self.tokens}", "expires_on": str(expires)}
        return web.json_response({**token, "resource": "x", "token_type": "Bearer"})


def tokens_of(start: Any) -> list[str]:
    return [headers["Authorization"] for headers in start.headers if "Authorization" in headers]


async def azure(start: Any, monkeypatch: pytest.MonkeyPatch, identity: Any, answer: Any) -> Any:
    host = await start(identity)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{host.base_url}/token")
    return await start(
        answer, provider="azure", credential="entra", retry_budget_s=0, api_key_env=""
    )


async def test_a_token_is_fetched_once_and_used_while_it_is_good(
    start: Any, entra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity(3600)
    endpoint = await azure(start, monkeypatch, identity.answer, OK)
    assert await ask(endpoint, times=5) == ["Hi."] * 5
    assert identity.tokens == 1
    assert set(tokens_of(start)) == {"Bearer eyJ-token-number-1"}


async def test_a_token_that_expires_is_renewed(
    start: Any, entra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity(1)
    endpoint = await azure(start, monkeypatch, identity.answer, OK)
    async with ChatClient.connect(endpoint) as client:
        for _ in range(3):
            await client.chat(HELLO, role="user", ledger=[])
            await asyncio.sleep(1.1)
    assert tokens_of(start) == [f"Bearer eyJ-token-number-{number}" for number in (1, 2, 3)]


async def test_a_token_that_is_echoed_goes_nowhere(
    start: Any, entra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=401, text=f"bad {request.headers['Authorization']}")

    endpoint = await azure(start, monkeypatch, Identity(3600).answer, echo)
    with pytest.raises(EndpointRefused, match="a Microsoft Entra token") as caught:
        await ask(endpoint)
    assert isinstance(caught.value, openai.AuthenticationError)
    assert "eyJ-token" not in repr(vars(caught.value)) + str(caught.value)


async def test_nobody_signed_in_is_one_sentence(
    start: Any, entra: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"status": 400, "text": '{"error": {"code": "x", "message": "no identity"}}'}
    endpoint = await azure(start, monkeypatch, bad, OK)
    async with ChatClient.connect(endpoint) as client:
        with pytest.raises(
            (EndpointRefused, EndpointUnavailable), match="no Microsoft Entra token"
        ) as caught:
            await client.chat(HELLO, role="user", ledger=[])
        assert client.governor.statistics().in_flight == 0
    assert "\n" not in str(caught.value)
    assert (
        caught.value.__context__ is None or "azure" not in type(caught.value.__context__).__module__
    )


async def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("azure.identity", "azure.identity.aio"):
        monkeypatch.setitem(sys.modules, name, None)
    endpoint = Endpoint(
        base_url="https://x.openai.azure.com", model="m", provider="azure", credential="entra"
    )
    with pytest.raises(UsageError, match=r"pip install 'simia-async\[azure\]'"):
        await ask(endpoint)
