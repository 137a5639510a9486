"""The governor between the real client and a server with real limits, over HTTP."""

import asyncio
import time
from contextlib import suppress

from simia_store import CallRecord

from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.messages import Message
from simia_async.testing import ChatRequest, Quota, ScriptedServer

PROMPT = "Tell me something. " * 40


def answer(request: ChatRequest) -> str:
    return "Something."


async def converse(client: ChatClient, ledger: list[CallRecord]) -> None:
    fresh = True
    while True:
        await client.chat(
            [Message("user", PROMPT)], role="user", ledger=ledger, fresh=fresh, max_tokens=100
        )
        fresh = False


async def used(quota: Quota, seconds: float) -> float:
    """The share of the limit that binds that is used from now on."""
    before, began = quota.statistics(), time.monotonic()
    await asyncio.sleep(seconds)
    after, minutes = quota.statistics(), (time.monotonic() - began) / 60
    assert quota.rpm
    assert quota.tpm
    return max(
        (after.admitted - before.admitted) / (quota.rpm * minutes),
        (after.admitted_tokens - before.admitted_tokens) / (quota.tpm * minutes),
    )


async def test_limits_that_change_are_used_and_not_exceeded() -> None:
    ledger: list[CallRecord] = []
    async with ScriptedServer(
        respond=answer, latency="lognormal:0.1,0.5", log_bodies=False
    ) as server:
        endpoint = Endpoint(base_url=server.base_url, model="m", max_in_flight=128)
        server.quota = Quota(rpm=3000, tpm=6_000_000)
        async with ChatClient.connect(endpoint) as client:
            calls = [asyncio.ensure_future(converse(client, ledger)) for _ in range(256)]
            try:
                # Requests bind, then tokens at a lower rate, then requests at a higher one.
                for rpm, tpm in ((3000, 6_000_000), (3000, 300_000), (4500, 6_000_000)):
                    server.quota = quota = Quota(rpm, tpm)
                    await asyncio.sleep(0.5)
                    assert await used(quota, 1.0) >= 0.9
                    seen = quota.statistics()
                    assert seen.overshoot_requests <= rpm / 60
                    assert seen.overshoot_tokens <= tpm / 60
            finally:
                for call in calls:
                    call.cancel()
                for call in calls:
                    with suppress(asyncio.CancelledError):
                        await call
            seen_by_governor = client.governor.statistics()
        assert (seen_by_governor.in_flight, seen_by_governor.waiting) == (0, 0)
        assert len(server.log.with_status(429)) <= 0.05 * len(server.log)
    assert len([record for record in ledger if record.status == "ok"]) > 100
