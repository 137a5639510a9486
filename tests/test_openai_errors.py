"""Errors of ours that users of the `openai` package can catch as they are used to."""

import asyncio
import json
import socket
import subprocess
import sys
from typing import Any

import openai
import pytest
from aiohttp import web

from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    RateLimited,
    SimiaError,
)
from simia_async.messages import Message


def says(status: int, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    error = {"message": "no such luck", "type": "some_kind", "param": param, "code": code}
    return {
        "status": status,
        "text": json.dumps({"error": error}),
        "headers": {"x-request-id": "req_1"},
    }


async def error_of(endpoint: Endpoint, **parameters: Any) -> Any:
    async with ChatClient.connect(endpoint) as client:
        with pytest.raises(EndpointError) as caught:
            await client.chat([Message("user", "x")], role="user", ledger=[], **parameters)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "theirs", "ours"),
    [
        (says(400, "bad_thing", "messages"), openai.BadRequestError, EndpointRefused),
        (says(401, "invalid_api_key"), openai.AuthenticationError, EndpointRefused),
        (says(403), openai.PermissionDeniedError, EndpointRefused),
        (says(404, "model_not_found", "model"), openai.NotFoundError, EndpointRefused),
        (says(409), openai.ConflictError, EndpointUnavailable),
        (says(422), openai.UnprocessableEntityError, EndpointRefused),
        (says(429, "rate_limit_exceeded"), openai.RateLimitError, RateLimited),
        (says(429, "insufficient_quota"), openai.RateLimitError, EndpointRefused),
        (says(500), openai.InternalServerError, EndpointUnavailable),
        (says(529), openai.InternalServerError, EndpointUnavailable),
        (says(418), openai.APIStatusError, EndpointRefused),
    ],
    ids=lambda value: str(value.get("status")) if isinstance(value, dict) else "",
)
async def test_every_status_is_the_class_that_openai_has_for_it(
    start: Any, answer: dict[str, Any], theirs: type[openai.APIStatusError], ours: type
) -> None:
    error = await error_of(await start(answer, retry_budget_s=0, rate_limit_budget_s=0))
    assert isinstance(error, theirs)
    assert isinstance(error, ours)
    assert isinstance(error, SimiaError)
    said = json.loads(answer["text"])["error"]
    assert error.status_code == error.status == answer["status"]
    assert (error.code, error.param, error.type) == (said["code"], said["param"], "some_kind")
    assert error.body == said
    assert error.request_id == "req_1"
    assert error.message == str(error)
    assert f"HTTP {answer['status']}: no such luck" in str(error)
    assert "\n" not in str(error)


async def test_what_never_was_an_answer_is_a_connection_error(start: Any) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    closed = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m", retry_budget_s=0)
    error = await error_of(closed)
    assert isinstance(error, openai.APIConnectionError)
    assert not isinstance(error, openai.APITimeoutError)
    assert isinstance(error.__cause__, OSError)
    late = await error_of(await start(hang, timeout_s=0.05, retry_budget_s=0))
    assert isinstance(late, openai.APITimeoutError)
    nowhere = Endpoint(base_url="http://a..b/v1", model="m", retry_budget_s=0)
    assert isinstance(await error_of(nowhere), openai.APIConnectionError)


async def test_what_follows_no_protocol_is_a_validation_error(start: Any) -> None:
    error = await error_of(await start({"text": '{"choices": [{}]}'}, malformed_attempts=1))
    assert isinstance(error, openai.APIResponseValidationError)
    assert isinstance(error, BadReply)
    assert error.status_code == 200
    assert error.body == '{"choices": [{}]}'
    assert "/v1/chat/completions: not the JSON of a completion" in str(error)


async def test_an_error_within_a_200_is_the_error_that_it_is(start: Any) -> None:
    said = {"error": {"message": "Provider returned error", "code": 429}}
    error = await error_of(await start({"text": json.dumps(said)}, rate_limit_budget_s=0))
    assert isinstance(error, openai.RateLimitError)
    assert "HTTP 429: Provider returned error" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"error": "model not loaded"}', "HTTP 404: model not loaded"),
        ('{"detail": "Not Found"}', "HTTP 404: Not Found"),
        ('{"message": "no route", "code": 404}', "HTTP 404: no route"),
        ("<html><head><title>404 Not Found</title></head>", "HTTP 404: a web page: 404 Not Found"),
        ("plain words", "HTTP 404: plain words"),
        ("[1]", r"HTTP 404: \[1\]"),
        ("{}", "HTTP 404: {}"),
        ("", "HTTP 404: $"),
        ('{"error": {"message": {"deep": [1]}}}', 'HTTP 404: {"deep":'),
        ("[" * 5000, r"HTTP 404: \[\["),
    ],
)
async def test_complaints_of_every_form_are_read(start: Any, text: str, said: str) -> None:
    error = await error_of(await start({"status": 404, "text": text}))
    assert isinstance(error, openai.NotFoundError)
    with pytest.raises(EndpointRefused, match=said):
        raise error
    assert len(str(error)) < 500


WITHOUT_OPENAI = """
import asyncio, sys
from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.errors import EndpointUnavailable
from simia_async.messages import Message

async def main():
    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m", retry_budget_s=0)
    async with ChatClient.connect(endpoint) as client:
        try:
            await client.chat([Message("user", "x")], role="user", ledger=[])
        except EndpointUnavailable as error:
            assert type(error) is EndpointUnavailable
            assert "connection failed" in str(error)
        else:
            raise SystemExit("nothing raised")
asyncio.run(main())
loaded = [name for name in sys.modules if name.partition(".")[0] == "openai"]
assert not loaded, loaded
"""


def test_openai_is_not_imported_for_it() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_OPENAI], check=True, timeout=60)


def test_a_module_that_only_happens_to_be_called_openai_does_no_harm() -> None:
    shadow = "import sys, types; sys.modules['openai'] = types.ModuleType('openai')\n"
    code = shadow + WITHOUT_OPENAI.replace("assert not loaded", "assert loaded == ['openai']")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
