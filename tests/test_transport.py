"""The transports, on sockets whose other end does what servers do, and what they should not."""

import asyncio
import gzip
import logging
import socket
import ssl
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from simia_async.clients import ChatClient
from simia_async.clients.dialect import Dialect
from simia_async.clients.transport import AiohttpTransport, Answer, PooledTransport, proxy_of
from simia_async.config import Endpoint
from simia_async.errors import (
    BadReply,
    EndpointError,
    EndpointRefused,
    EndpointUnavailable,
    UsageError,
)
from simia_async.messages import Message

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = {
    "text": '{"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}',
    "content_type": "application/json",
}
HEADERS = {"Content-Type": "application/json"}
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

pytestmark = pytest.mark.both_loops


class Listener:
    """A server that lets a test speak for it, connection by connection."""

    def __init__(self, url: str) -> None:
        self.url = URL(url)
        self.connections = 0
        self.requests: list[bytes] = []

    async def ask(self, transport: PooledTransport, body: bytes = b"{}") -> Answer:
        return await transport.request("POST", self.url / "chat", HEADERS, body)


async def request_on(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body. Raises `IncompleteReadError` when there is none."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


@asynccontextmanager
async def listening(
    converse: Converse, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    listener: Listener | None = None

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert listener is not None
        listener.connections += 1
        try:
            await converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, host, 0, ssl=tls, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    listener = Listener(f"{'https' if tls else 'http'}://{shown}:{port}")
    try:
        yield listener
    finally:
        server.close()


@asynccontextmanager
async def pooled(listener: Listener, timeout_s: float = 5) -> AsyncIterator[PooledTransport]:
    transport = PooledTransport(listener.url, timeout_s)
    try:
        yield transport
        assert not transport._busy, "a connection is still in use"
    finally:
        await transport.close()


def saying(*answers: bytes, then_close: bool = False) -> Converse:
    """Answers the n-th request of a connection with the n-th answer, and for ever the last."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(1000):
            await request_on(reader)
            writer.write(answers[min(number, len(answers) - 1)])
            await writer.drain()
            if then_close:
                return

    return converse


async def test_one_connection_is_kept_for_all_that_follow_each_other() -> None:
    async with listening(saying(GOOD)) as server, pooled(server) as transport:
        for _ in range(20):
            assert (await server.ask(transport)).body == b"ok"
        assert server.connections == 1


@pytest.mark.parametrize("told", [b"Connection: close\r\n", b""], ids=["told", "untold"])
async def test_a_server_that_closes_after_each_answer_is_asked_on_a_new_connection(
    told: bytes,
) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + told + b"Content-Length: 2\r\n\r\nok"
    async with listening(saying(answer, then_close=True)) as server, pooled(server) as transport:
        for _ in range(3):
            assert (await server.ask(transport)).body == b"ok"
            await asyncio.sleep(0.01)
        assert server.connections == 3


async def test_a_connection_that_dies_in_the_moment_of_its_reuse_is_replaced_unseen() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(GOOD)
        await request_on(reader)  # the second request arrives, and nobody answers it

    async with listening(once) as server, pooled(server) as transport:
        for _ in range(4):
            assert (await server.ask(transport)).body == b"ok"
        assert server.connections == 4


async def test_after_the_first_byte_of_an_answer_nothing_is_sent_again() -> None:
    asked = 0

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        for answer in (GOOD, b"HTTP/1.1 2"):
            await request_on(reader)
            asked += 1
            writer.write(answer)

    async with listening(half) as server, pooled(server) as transport:
        await server.ask(transport)
        with pytest.raises(EndpointUnavailable, match="in the middle of its answer"):
            await server.ask(transport)
    assert asked == 2


async def test_a_new_connection_that_is_closed_is_not_tried_twice_in_secret() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)

    async with listening(never) as server, pooled(server) as transport:
        with pytest.raises(EndpointUnavailable, match="without an answer"):
            await server.ask(transport)
        assert server.connections == 1


async def test_many_stale_connections_cost_one_new_one() -> None:
    together = asyncio.Barrier(8)
    asked = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await request_on(reader)
        asked += 1
        if asked <= 8:
            await together.wait()
        writer.write(GOOD)
        await request_on(reader)

    async with listening(once) as server, pooled(server) as transport:
        await asyncio.gather(*(server.ask(transport) for _ in range(8)))
        await server.ask(transport)
        assert server.connections == 9


CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX-Trailer: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n" + CHUNKS, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + GOOD, True),
        (
            b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 100_000 + b"\r\nContent-Length: 2\r\n\r\nok",
            True,
        ),
        (
            GOOD.replace(b"Content", b"Connection: Upgrade\r\nUpgrade: h2c\r\nCONTENT"),
            True,
        ),
    ],
    ids=(
        "chunked length close unframed http10 http10-length http10-kept 100 103 huge upgrade"
    ).split(),
)
async def test_every_framing_of_a_body_is_read(answer: bytes, kept: bool) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_on(reader)
            for at in range(0, len(answer), max(1, len(answer) // 7)):
                writer.write(answer[at : at + max(1, len(answer) // 7)])
                await asyncio.sleep(0.001)
            if not kept:
                return

    async with listening(converse) as server, pooled(server) as transport:
        for _ in range(2):
            received = await server.ask(transport)
            assert (received.status, received.body) == (200, b"ok")
            assert "x-trailer" not in received.headers
        assert server.connections == (1 if kept else 2)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_statuses_without_a_body_have_none(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\n\r\n"
    async with listening(saying(answer)) as server, pooled(server) as transport:
        assert (await server.ask(transport)).body == b""


async def test_a_body_without_length_that_is_cut_by_a_reset_is_not_taken_for_whole() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await asyncio.sleep(0.05)
        link = writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with listening(reset) as server, pooled(server) as transport:
        with pytest.raises(EndpointUnavailable):
            await server.ask(transport)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["length", "chunked", "head"],
)
async def test_a_body_that_is_dropped_in_the_middle_is_an_outage(answer: bytes) -> None:
    async with listening(saying(answer, then_close=True)) as server, pooled(server) as transport:
        with pytest.raises(EndpointUnavailable, match="in the middle of its answer"):
            await server.ask(transport)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b"ok")),
        (b"GZIP", gzip.compress(b"o") + gzip.compress(b"k")),
        (b"x-gzip", gzip.compress(b"ok")),
        (b"deflate", zlib.compress(b"ok")),
        (b"identity", b"ok"),
    ],
    ids=["gzip", "two-members", "x-gzip", "deflate", "identity"],
)
async def test_compression_that_nobody_asked_for_is_undone(coding: bytes, body: bytes) -> None:
    async with listening(saying(compressed(coding, body))) as server, pooled(server) as transport:
        assert (await server.ask(transport)).body == b"ok"


@pytest.mark.parametrize(
    ("coding", "body", "said"),
    [
        (b"gzip", b"no gzip", "not the gzip it claims to be"),
        (b"gzip", gzip.compress(b"ok")[:-4], "breaks off"),
        (b"gzip", gzip.compress(b"x" * 100)[:12] + b"\xff" * 20, "not the gzip|breaks off"),
        (b"gzip", gzip.compress(bytes(2**26 + 1), 1), "without end"),
        (b"br", b"?", "compressed with 'br'"),
    ],
    ids=["none", "cut", "broken", "bomb", "brotli"],
)
async def test_compression_that_cannot_be_undone_is_a_bad_reply(
    coding: bytes, body: bytes, said: str
) -> None:
    async with listening(saying(compressed(coding, body))) as server, pooled(server) as transport:
        with pytest.raises(BadReply, match=said):
            await server.ask(transport)


def compressed(coding: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", "not HTTP"),
        (b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n..", "protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "begin with https://"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2**20 + 70_000), "without end"),
    ],
    ids=["ssh", "two-lengths", "long", "upgrade", "tls", "huge-header"],
)
async def test_what_is_no_answer_is_a_bad_reply_and_no_log_entry(
    answer: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(saying(answer)) as server, pooled(server) as transport:
        with pytest.raises(BadReply, match=said) as caught:
            await server.ask(transport)
        assert str(server.url) in str(caught.value)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "garbage",
    [GOOD, b"HTTP/1.1 200 OK\r\nContent-Le", b"\r\n\r\n\x00garbage", b"HTTP/1.1 408 Late\r\n\r\n"],
    ids=["answer", "half", "noise", "408"],
)
@pytest.mark.parametrize("later", [True, False])
async def test_what_follows_an_answer_is_never_taken_for_the_next_one(
    garbage: bytes, later: bool
) -> None:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await request_on(reader)
        name = request[-1:]
        body = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name
        writer.write(body if later else body + garbage)
        if later:
            await asyncio.sleep(0.02)
            writer.write(garbage)
        await reader.read()

    async with listening(converse) as server, pooled(server) as transport:
        for name in (b"a", b"b", b"c"):
            assert (await server.ask(transport, name)).body == name
            await asyncio.sleep(0.05)
        assert server.connections == 3


async def test_an_answer_to_half_a_request_ends_the_connection() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
        await asyncio.sleep(0.5)

    async with listening(hasty) as server, pooled(server) as transport:
        for _ in range(2):
            answer = await server.ask(transport, bytes(50_000_000))
            assert (answer.status, answer.body) == (413, b"large")
        assert server.connections == 2


async def test_a_body_of_50_mb_reaches_a_server_that_reads_slowly() -> None:
    size = 50_000_000
    received = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        while received < size:
            received += len(await reader.read(2**20))
        writer.write(GOOD)
        await writer.drain()

    async with listening(slow) as server, pooled(server, 30) as transport:
        assert (await server.ask(transport, bytes(size))).body == b"ok"
    assert received == size


async def test_a_slow_body_is_waited_for_and_an_endless_one_is_not() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await request_on(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10 if request.endswith(b"{}") else 9):
            await asyncio.sleep(0.01)
            writer.write(b".")
        await asyncio.sleep(5)

    async with listening(drip) as server, pooled(server, 0.3) as transport:
        assert (await server.ask(transport)).body == b"." * 10
        began = time.monotonic()
        with pytest.raises(EndpointUnavailable, match=r"no answer within 0\.3 s"):
            await server.ask(transport, b"[]")
        assert time.monotonic() - began < 3


async def test_a_stale_connection_does_not_double_the_time_out() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await request_on(reader)).endswith(b"1"):
            writer.write(GOOD)
            await request_on(reader)
            await asyncio.sleep(0.3)
            return
        await asyncio.sleep(5)

    async with listening(once) as server, pooled(server, 0.5) as transport:
        await server.ask(transport, b"1")
        began = time.monotonic()
        with pytest.raises(EndpointUnavailable, match="no answer"):
            await server.ask(transport, b"2")
        assert time.monotonic() - began < 0.7


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    arrived = asyncio.Event()
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        arrived.set()
        await reader.read()
        gone.set()

    async with listening(hang) as server, pooled(server) as transport:
        task = asyncio.create_task(server.ask(transport))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(2):
            await gone.wait()
        assert (transport._idle, transport._busy) == ([], set())


async def test_cancelling_at_any_moment_leaves_nothing_behind() -> None:
    async with listening(saying(GOOD)) as server, pooled(server) as transport:
        for rounds in range(30):
            task = asyncio.create_task(server.ask(transport))
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not transport._busy
            assert (await server.ask(transport)).body == b"ok"


async def test_closing_ends_what_is_under_way() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(hang) as server:
        transport = PooledTransport(server.url, 5)
        task = asyncio.create_task(server.ask(transport))
        await asyncio.sleep(0.05)
        await transport.close()
        with pytest.raises(EndpointUnavailable, match="closed the connection"):
            await task


async def test_2000_requests_at_once_are_answered() -> None:
    together = asyncio.Event()
    waiting = 0

    async def all_there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        await request_on(reader)
        waiting += 1
        if waiting == 2000:
            together.set()
        await together.wait()
        writer.write(GOOD)
        await writer.drain()

    async with listening(all_there) as server, pooled(server, 30) as transport:
        answers = await asyncio.gather(*(server.ask(transport) for _ in range(2000)))
        assert {answer.body for answer in answers} == {b"ok"}
        assert server.connections == 2000


async def test_ipv6_loopback_is_reached() -> None:
    hosts = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts.append((await request_on(reader)).split(b"Host: ")[1].split(b"\r\n")[0])
        writer.write(GOOD)

    try:
        async with listening(converse, host="::1") as server, pooled(server) as transport:
            assert (await server.ask(transport)).body == b"ok"
            assert hosts == [f"[::1]:{server.url.port}".encode()]
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


# TLS.


async def test_tls_with_a_trusted_certificate_works(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    async with listening(saying(GOOD), tls=tls) as server, pooled(server) as transport:
        for _ in range(3):
            assert (await server.ask(transport, bytes(3_000_000))).body == b"ok"
        assert server.connections == 1


async def one_ask(url: URL, kind: str) -> Answer:
    transport: Any = PooledTransport(url, 2) if kind == "pooled" else AiohttpTransport(2)
    try:
        return await transport.request("POST", url / "chat", HEADERS, b"{}")
    finally:
        await transport.close()


BOTH = pytest.mark.parametrize("kind", ["pooled", "aiohttp"])


@BOTH
async def test_a_certificate_that_nobody_trusts_is_named(tls: ssl.SSLContext, kind: str) -> None:
    async with listening(saying(GOOD), tls=tls) as server:
        with pytest.raises(EndpointRefused, match=r"certificate of 127\.0\.0\.1 .*self-signed"):
            await one_ask(server.url, kind)


@BOTH
async def test_https_to_a_plain_port_is_refused_with_a_hint(kind: str) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as server:
        with pytest.raises(EndpointRefused, match="begin with http://"):
            await one_ask(server.url.with_scheme("https").with_port(server.url.port), kind)


@BOTH
async def test_http_to_a_tls_port_ends(tls: ssl.SSLContext, kind: str) -> None:
    async with listening(saying(GOOD), tls=tls) as server:
        with pytest.raises((EndpointUnavailable, BadReply)):
            await one_ask(server.url.with_scheme("http").with_port(server.url.port), kind)


@BOTH
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".com"])
async def test_a_host_that_cannot_be_found_is_told(kind: str, host: str) -> None:
    with pytest.raises(EndpointError, match=f"cannot be reached: .*{host}|is not a URL"):
        await one_ask(URL(f"http://{host}:9"), kind)


@BOTH
async def test_a_closed_port_is_an_outage(kind: str) -> None:
    async with listening(saying(GOOD)) as server:
        url = server.url
    with pytest.raises(EndpointUnavailable, match=r"connection failed: .*refused|Connect call"):
        await one_ask(url, kind)


# What the request looks like.


@pytest.mark.parametrize(
    "base_url",
    ["http://{}/a b/v1", "http://{}/é☃/v1", "http://{}/v1#part"],
)
async def test_nothing_in_a_base_url_reaches_the_headers(base_url: str) -> None:
    requests = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await request_on(reader))
        writer.write(GOOD)

    async with listening(converse) as server, pooled(server) as transport:
        url = base_url.format(server.url.authority)
        for provider in ("openai", "azure"):
            endpoint = Endpoint(
                base_url=url, model="m\r\nX-Evil: 1/../../..", provider=provider,
                api_version="v\r\nX-Evil: 1" if provider == "azure" else None,
            )  # fmt: skip
            target = Dialect(endpoint).url("/chat/completions")
            await transport.request("POST", target, HEADERS, b"{}")
    for request in requests:
        first, *headers = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert len(first.split(b" ")) == 3
        assert not any(header.lower().startswith(b"x-evil") for header in headers)
        assert b"/.." not in first


async def test_headers_that_are_renewed_are_not_mixed_up_with_old_ones() -> None:
    seen = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await request_on(reader)
            seen.append(int(request.split(b"X-Number: ")[1].split(b"\r\n")[0]))
            writer.write(GOOD)

    async with listening(converse) as server, pooled(server) as transport:
        for number in range(100):  # each in a dictionary of its own, at an address used before
            headers = {"X-Number": str(number)}
            await transport.request("POST", server.url, headers, b"{}")
            del headers
    assert seen == list(range(100))


# Proxies.


@asynccontextmanager
async def proxying(
    target: Endpoint, password: bytes = b""
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A forward proxy for which every name is `target`'s."""
    seen: list[bytes] = []
    port = URL(target.base_url or "").port

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        if password not in head:
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            method, url, rest = head.split(b" ", 2)
            path = URL(url.decode()).raw_path_qs.encode()
            up_writer.write(b" ".join((method, path, rest)))
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    async with listening(converse) as server:
        yield str(server.url), seen


async def ask(endpoint: Endpoint, content: str = "Hello") -> str | None:
    async with ChatClient.connect(endpoint) as client:
        reply = await client.chat([Message("user", content)], role="user", ledger=[])
        async with client.stream([Message("user", content)], role="user", ledger=[]) as said:
            assert "".join([piece async for piece in said]) == "Hi."
        assert client.governor.statistics().in_flight == 0
    return reply.message.content


async def either(request: web.Request) -> web.Response:
    body = await request.json()
    if not body.get("stream"):
        return web.Response(**OK)
    event = '{"choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]}'
    return web.Response(text=f"data: {event}\n\ndata: [DONE]\n\n", content_type="text/event-stream")


async def test_a_forward_proxy_is_used_but_not_for_loopback(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await start(either)
    async with proxying(target) as (proxy, seen):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        named = Endpoint(base_url="http://simulator.test/v1", model="m")
        assert await ask(named, "x" * 2_000_000) == "Hi."
        assert seen[0].startswith(b"POST http://simulator.test/v1/chat/completions HTTP/1.1")
        before = len(seen)
        assert await ask(target) == "Hi."
        assert len(seen) == before, "loopback went through the proxy"
        monkeypatch.setenv("NO_PROXY", "simulator.test:80")
        assert proxy_of(URL("http://simulator.test/v1")) is None
        assert proxy_of(URL("http://other.test/v1")) == URL(proxy)


async def test_a_tunnel_is_opened_for_https(
    start: Any, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    target = await start(either, tls=tls)
    async with proxying(target) as (proxy, seen):
        monkeypatch.setenv("ALL_PROXY", proxy.removeprefix("http://"))
        named = Endpoint(base_url="https://simulator.test/v1", model="m")
        assert await ask(named) == "Hi."
        assert {head.split(b"\r\n")[0] for head in seen} == {b"CONNECT simulator.test:443 HTTP/1.1"}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_told_and_its_password_is_not(
    start: Any, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await start(either)
    async with proxying(target, b"never sent") as (proxy, _):
        monkeypatch.setenv(f"{scheme}_proxy", proxy.replace("//", "//me:hunter2@"))
        named = Endpoint(base_url=f"{scheme}://simulator.test/v1", model="m")
        with pytest.raises(EndpointRefused, match="407") as caught:
            await ask(named)
    assert "hunter2" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("said", ["socks5://me:hunter2@127.0.0.1:9", "http://", "http://[hunter2"])
async def test_a_proxy_that_cannot_be_one_is_told_and_not_shown(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", said)
    with pytest.raises(UsageError, match="HTTPS_PROXY: expected http://host:port") as caught:
        await ask(Endpoint(base_url="https://simulator.test/v1", model="m"))
    assert "hunter2" not in str(caught.value)


async def test_a_proxy_that_is_not_there_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(saying(GOOD)) as server:
        url = server.url
    monkeypatch.setenv("http_proxy", str(url))
    named = Endpoint(base_url="http://simulator.test/v1", model="m", retry_budget_s=0)
    with pytest.raises(EndpointUnavailable, match=f"the proxy 127.0.0.1:{url.port} cannot be"):
        await ask(named)


async def test_cancelling_a_client_closes_all_it_opened(start: Any) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    endpoint = await start(either, hang)

    async def work(client: ChatClient) -> None:
        async with client.stream([Message("user", "x")], role="user", ledger=[]) as said:
            assert [piece async for piece in said] == ["Hi."]
            await client.chat([Message("user", "x")], role="user", ledger=[])

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(ChatClient.connect(endpoint))
        task = asyncio.create_task(work(client))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert client.governor.statistics().in_flight == 0
