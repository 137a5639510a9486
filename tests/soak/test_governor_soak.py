"""The governor over HTTP: minutes of full load, an outage of a minute, thousands of faults."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.errors import EndpointError
from simia_async.messages import Message
from simia_async.testing import ChatRequest, Faults, Quota, ScriptedServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

CALLS = 2000


def answer(request: ChatRequest) -> str:
    return "Something."


async def call(client: ChatClient, ledger: list[CallRecord], text: str = "Well?") -> None:
    await client.chat([Message("user", text)], role="user", ledger=ledger, max_tokens=100)


@asynccontextmanager
async def load(client: ChatClient, conversations: int) -> AsyncIterator[None]:
    """Conversations that ask for ever."""

    async def converse() -> None:
        while True:
            with suppress(EndpointError):
                await call(client, [])

    tasks = [asyncio.ensure_future(converse()) for _ in range(conversations)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_quota_is_used_up_for_a_minute() -> None:
    quota = Quota(rpm=3000, tpm=600_000)
    async with ScriptedServer(
        respond=answer, latency="lognormal:0.5,0.6", quota=quota, log=False
    ) as server:
        endpoint = Endpoint(base_url=server.base_url, model="m", max_in_flight=256)
        async with ChatClient.connect(endpoint) as client, load(client, 512):
            await asyncio.sleep(10)
            before, began = quota.statistics(), time.monotonic()
            await asyncio.sleep(60)
            after, minutes = quota.statistics(), (time.monotonic() - began) / 60
    use = (after.admitted - before.admitted) / (3000 * minutes)
    print(f"{use:.1%} of the quota used; {after}")
    assert use >= 0.95
    assert after.overshoot_requests <= 50
    assert after.overshoot_tokens <= 10_000


@pytest.mark.parametrize("kind", ["503", "unreachable"])
async def test_after_an_outage_of_a_minute_the_throughput_is_back_in_seconds(kind: str) -> None:
    async with ScriptedServer(respond=answer, latency="lognormal:0.5,0.6") as server:
        endpoint = Endpoint(base_url=server.base_url, model="m", max_in_flight=64)
        async with ChatClient.connect(endpoint) as client, load(client, 128):
            await asyncio.sleep(15)
            since = time.monotonic() - 10
            before = sum(record.arrived >= since for record in server.log) / 10
            failed = client.governor.statistics().unavailable
            if kind == "503":
                server.down = True
                await asyncio.sleep(60)
                server.down = False
            else:
                async with server.unreachable():
                    await asyncio.sleep(60)
            back = time.monotonic()
            wasted = client.governor.statistics().unavailable - failed
            await asyncio.sleep(12)
        rates = [
            sum(
                back + second <= (record.finished or 0) < back + second + 1
                for record in server.log.served()
            )
            for second in range(12)
        ]
    print(f"{before:.0f} calls/s before; {rates} in the seconds after; {wasted} calls wasted")
    assert wasted <= 64 + 8 + 60
    assert sum(rates[4:7]) / 3 >= 0.8 * before


async def test_each_of_2000_calls_among_faults_ends_in_a_result_or_a_typed_error() -> None:
    faults = Faults(rate_limit=0.2, server_error=0.05, truncated=0.05, hang=0.02, retry_after_s=0.2)
    ledgers: list[list[CallRecord]] = [[] for _ in range(CALLS)]
    async with ScriptedServer(respond=answer, latency="lognormal:0.2,0.5", faults=faults) as server:
        endpoint = Endpoint(base_url=server.base_url, model="m", max_in_flight=64, timeout_s=5)
        async with ChatClient.connect(endpoint) as client:
            began = time.monotonic()
            results = await asyncio.gather(
                *(call(client, ledger, f"Call {n}") for n, ledger in enumerate(ledgers)),
                return_exceptions=True,
            )
            seconds = time.monotonic() - began
            seen = client.governor.statistics()
        asked = len(server.log)
    kinds = Counter(type(result).__name__ for result in results if result is not None)
    print(f"{CALLS} calls, {asked} requests in {seconds:.1f} s, failed: {dict(kinds)}; {seen}")
    assert all(result is None or isinstance(result, EndpointError) for result in results)
    assert sum(result is None for result in results) >= 0.98 * CALLS
    for ledger, result in zip(ledgers, results, strict=True):
        assert [record.attempt for record in ledger] == list(range(1, len(ledger) + 1))
        assert (ledger[-1].status == "ok") == (result is None)
    assert sum(map(len, ledgers)) == asked
    assert (seen.in_flight, seen.waiting) == (0, 0)
    slot_s = (0.68 * 0.2 + 0.10 * 0.2 + 0.02 * 5) / 0.68
    assert CALLS / seconds >= 0.5 * 64 / slot_s / 2
