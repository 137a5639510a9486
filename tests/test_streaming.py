"""Chat completions that are read while they are said."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import openai
import pytest
from aiohttp import web
from simia_store import CallRecord

from simia_async.clients import ChatClient, Usage
from simia_async.config import Endpoint
from simia_async.errors import BadReply, EndpointRefused, EndpointUnavailable
from simia_async.messages import FunctionCall, Message, ToolCall
from simia_async.testing import Faults, ScriptedServer

HELLO = [Message("user", "Hello")]
BUSY = {"status": 429, "headers": {"Retry-After": "0"}}
END = "data: [DONE]\n\n"


def chunk(finish: str | None = None, usage: Any = None, **delta: Any) -> str:
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage}
    return f"data: {msgspec.json.encode(body).decode()}\n\n"


def events(*parts: str | float, cut: bool = False) -> Callable[[web.Request], Awaitable[Any]]:
    """Sends the parts one by one; a number waits so many seconds. `cut` ends it with a reset."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            if isinstance(part, str):
                await response.write(part.encode())
            else:
                await asyncio.sleep(part)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handle


class Streamed:
    """One stream, read to its end."""

    def __init__(self) -> None:
        self.ledger: list[CallRecord] = []
        self.pieces: list[str] = []
        self.reply: Any = None
        self.client: Any = None

    async def read(self, endpoint: Endpoint, **parameters: Any) -> "Streamed":
        async with ChatClient.connect(endpoint) as self.client:
            try:
                async with self.client.stream(
                    HELLO, role="user", ledger=self.ledger, **parameters
                ) as stream:
                    async for piece in stream:
                        self.pieces.append(piece)
                    self.reply = stream.reply
            finally:
                self.check_closed()
        return self

    @property
    def statuses(self) -> list[str]:
        return [record.status for record in self.ledger]

    def check_closed(self) -> None:
        """Every attempt has been ended once, and only once."""
        statistics = self.client.governor.statistics()
        ended = statistics.ok + statistics.rate_limited + statistics.unavailable
        ended += statistics.malformed + statistics.refused
        abandoned = len(
            [s for s in self.statuses if s in ("CancelledError", "GeneratorExit", "Oops")]
        )
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        assert ended + abandoned == len(self.ledger)


class Oops(Exception):
    """The consumer's own trouble."""


async def test_content_usage_and_reason_to_stop_are_put_together(start: Any) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    handler = events(
        ": keep-alive\r\n\r\n", chunk(role="assistant", content=""), chunk(content="He"),
        chunk(content="llo")[:20], 0.01, chunk(content="llo")[20:], chunk("length"),
        f'data: {{"choices": [], "usage": {msgspec.json.encode(usage).decode()}}}\n\n', END,
    )  # fmt: skip
    streamed = await Streamed().read(await start(handler))
    assert streamed.pieces == ["He", "llo"]
    assert streamed.reply.message == Message("assistant", "Hello")
    assert (streamed.reply.finish_reason, streamed.reply.usage) == ("length", Usage(9, 3))
    assert [(r.status, r.tokens_in, r.tokens_out) for r in streamed.ledger] == [("ok", 9, 3)]
    assert start.bodies[0]["stream_options"] == {"include_usage": True}


async def test_tool_calls_thoughts_and_refusals_are_put_together(start: Any) -> None:
    def call(index: int | None, identity: str | None = None, **function: str) -> dict[str, Any]:
        return {"index": index, "id": identity, "function": function}

    handler = events(
        chunk(reasoning_content="Hm"), chunk(reasoning="m."),
        chunk(tool_calls=[call(0, "a", name="f", arguments="")]),
        chunk(tool_calls=[call(1, "b", name="g", arguments="{"), call(0, arguments="{}")]),
        chunk(tool_calls=[call(1, arguments="}")]), chunk("tool_calls"), END,
    )  # fmt: skip
    message = (await Streamed().read(await start(handler))).reply.message
    assert message.reasoning_content == "Hmm."
    assert message.content is None
    assert message.tool_calls == [
        ToolCall("a", FunctionCall("f", "{}")),
        ToolCall("b", FunctionCall("g", "{}")),
    ]
    # Some servers do not number their calls.
    handler = events(
        chunk(tool_calls=[call(None, "a", name="f", arguments="{}")]),
        chunk(tool_calls=[call(None, "b", name="g", arguments="{")]),
        chunk(tool_calls=[call(None, arguments="}")]), END,
    )  # fmt: skip
    again = (await Streamed().read(await start(handler))).reply.message
    assert again.tool_calls == message.tool_calls
    refused = await Streamed().read(await start(events(chunk(refusal="No."), chunk("stop"), END)))
    assert refused.reply.message.content == "No."


async def test_the_scripted_server_says_the_same_whole_and_in_pieces() -> None:
    def respond(_: Any) -> str:
        return "It is on its way."

    async with ScriptedServer(respond=respond, show_reasoning="think") as server:
        endpoint = Endpoint(base_url=server.base_url, model="m")
        streamed = await Streamed().read(endpoint)
        async with ChatClient.connect(endpoint) as client:
            reply = await client.chat(HELLO, role="user", ledger=[])
    assert streamed.reply == reply
    assert reply.message.reasoning_content
    assert reply.message.content == "It is on its way."


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (BUSY, "RateLimited"),
        ({"status": 503}, "EndpointUnavailable"),
        (events(chunk(role="assistant"), cut=True), "EndpointUnavailable"),
        (events(chunk(role="assistant")), "EndpointUnavailable"),
        (events("data: {nope\n\n"), "BadReply"),
        (events('data: {"error": {"message": "too much to do"}}\n\n', END), "EndpointUnavailable"),
        ({"text": "<html>Log in</html>", "content_type": "text/html"}, "BadReply"),
        ({"text": '{"choices": []}', "content_type": "application/json"}, "BadReply"),
    ],
    ids=["429", "503", "reset", "ended", "broken", "error", "html", "json"],
)
async def test_what_fails_before_the_first_word_is_tried_again(
    start: Any, failure: Any, status: str
) -> None:
    good = events(chunk(content="Hi."), chunk("stop"), END)
    streamed = await Streamed().read(await start(failure, good, max_backoff_s=0.01))
    assert streamed.pieces == ["Hi."]
    assert streamed.statuses == [status, "ok"]
    assert [record.attempt for record in streamed.ledger] == [1, 2]


@pytest.mark.parametrize(
    ("end", "expected", "theirs", "said"),
    [
        (
            events(chunk(content="Hi"), cut=True),
            EndpointUnavailable,
            openai.APIConnectionError,
            "connection failed",
        ),
        (
            events(chunk(content="Hi")),
            EndpointUnavailable,
            openai.APIConnectionError,
            "ended in the middle of an answer",
        ),
        (
            events(chunk(content="Hi"), 'data: {"error": {"message": "CUDA out of memory"}}\n\n'),
            EndpointUnavailable,
            openai.InternalServerError,
            "CUDA out of memory",
        ),
        (
            events(chunk(content="Hi"), 'data: {"error": {"message": "bad", "code": 400}}\n\n'),
            EndpointRefused,
            openai.BadRequestError,
            "HTTP 400: bad",
        ),
        (
            events(chunk(content="Hi"), "data: {nope\n\n", END),
            BadReply,
            openai.APIResponseValidationError,
            "not the JSON of a chunk",
        ),
        (events(chunk(content="Hi"), 9.0), EndpointUnavailable, openai.APITimeoutError, "within"),
    ],
    ids=["reset", "ended", "error", "refused", "broken", "time-out"],
)
async def test_what_fails_after_the_first_word_is_raised(
    start: Any, end: Any, expected: Any, theirs: Any, said: str
) -> None:
    streamed = Streamed()
    endpoint = await start(end, timeout_s=0.5)
    with pytest.raises(expected, match=said) as caught:
        await streamed.read(endpoint)
    assert isinstance(caught.value, theirs)
    assert streamed.pieces == ["Hi"]
    assert streamed.statuses == [expected.__name__]


async def test_a_failure_can_be_caught_while_iterating_and_is_still_counted(start: Any) -> None:
    ledger: list[CallRecord] = []
    endpoint = await start(events(chunk(content="Hi"), cut=True))
    async with ChatClient.connect(endpoint) as client:
        async with client.stream(HELLO, role="user", ledger=ledger) as stream:
            with pytest.raises(openai.APIConnectionError):
                _ = [piece async for piece in stream]
            with pytest.raises(EndpointUnavailable):  # and it stays broken
                await anext(stream)
        assert client.governor.statistics().unavailable == 1
    assert [record.status for record in ledger] == ["EndpointUnavailable"]


@pytest.mark.parametrize("reason", ["stop", None])
async def test_a_stream_that_does_not_say_done_is_over_if_it_says_why(
    start: Any, reason: str | None
) -> None:
    endpoint = await start(events(chunk(content="Hi"), chunk(reason)), retry_budget_s=0)
    if reason:
        assert (await Streamed().read(endpoint)).pieces == ["Hi"]
    else:
        with pytest.raises(EndpointUnavailable):
            await Streamed().read(endpoint)


async def test_who_stops_listening_early_leaves_nothing_behind(start: Any) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(chunk(content="more ").encode())
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    ledger: list[CallRecord] = []
    async with ChatClient.connect(await start(endless)) as client:
        async with client.stream(HELLO, role="user", ledger=ledger) as stream:
            async for _ in stream:
                break
        assert client.governor.statistics().in_flight == 0
        async with asyncio.timeout(2):
            await gone.wait()
    assert [record.status for record in ledger] == ["ok"]


@pytest.mark.parametrize("error", [Oops("mine"), TimeoutError("mine"), ConnectionError("mine")])
async def test_the_consumers_own_errors_are_not_the_endpoints(start: Any, error: Exception) -> None:
    ledger: list[CallRecord] = []
    endpoint = await start(events(chunk(content="Hi"), chunk("stop"), END))
    async with ChatClient.connect(endpoint) as client:
        with pytest.raises(type(error), match="mine") as caught:
            async with client.stream(HELLO, role="user", ledger=ledger):
                raise error
        assert caught.value is error
        statistics = client.governor.statistics()
        assert (statistics.in_flight, statistics.unavailable) == (0, 0)
    assert [record.status for record in ledger] == [type(error).__name__]


@pytest.mark.parametrize("moment", ["before", "between"])
async def test_a_cancelled_stream_is_closed(start: Any, moment: str) -> None:
    first = [] if moment == "before" else [chunk(content="Hi")]
    endpoint = await start(events(*first, 9.0))
    streamed = Streamed()
    task = asyncio.create_task(streamed.read(endpoint))
    while not start.bodies:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert streamed.statuses == ["CancelledError"]


async def test_a_stream_in_a_generator_that_is_dropped_is_closed(start: Any) -> None:
    ledger: list[CallRecord] = []
    async with ChatClient.connect(await start(events(chunk(content="Hi"), 9.0))) as client:

        async def words() -> Any:
            async with client.stream(HELLO, role="user", ledger=ledger) as stream:
                async for piece in stream:
                    yield piece

        speaker = words()
        assert await anext(speaker) == "Hi"
        await speaker.aclose()
        speaker = words()
        assert await anext(speaker) == "Hi"
        del speaker  # the loop closes it
        gc.collect()
        async with asyncio.timeout(2):
            while client.governor.statistics().in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert [record.status for record in ledger] == ["GeneratorExit", "GeneratorExit"]


async def test_a_waiting_stream_that_gives_up_is_openais_error_too(start: Any) -> None:
    endpoint = await start({"status": 503}, retry_budget_s=0.05, max_backoff_s=0.01)
    with pytest.raises(EndpointUnavailable) as caught:
        await Streamed().read(endpoint)
    assert isinstance(caught.value, openai.APIError)


async def test_long_histories_are_streamed_to_as_well(start: Any) -> None:
    endpoint = await start(events(chunk(content="Hi"), chunk("stop"), END))
    async with (
        ChatClient.connect(endpoint) as client,
        client.stream([Message("user", "x" * 3_000_000)], role="user", ledger=[]) as stream,
    ):
        assert [piece async for piece in stream] == ["Hi"]


async def test_many_streams_come_through_a_faulty_server() -> None:
    faults = Faults(rate_limit=0.1, server_error=0.1, drop=0.1, html=0.1, retry_after_s=0.02)
    async with ScriptedServer(respond=lambda r: r.last, faults=faults, seed=1) as server:
        endpoint = Endpoint(
            base_url=server.base_url, model="m", max_backoff_s=0.02, malformed_attempts=9
        )
        async with ChatClient.connect(endpoint) as client:

            async def one(number: int) -> str:
                asked = [Message("user", f"number {number}")]
                async with client.stream(asked, role="user", ledger=[]) as stream:
                    return "".join([piece async for piece in stream])

            said = await asyncio.gather(*(one(number) for number in range(100)))
            assert client.governor.statistics().in_flight == 0
    assert said == [f"number {number}" for number in range(100)]
