"""The simulator of a run: an endpoint that was named, or the embedded scripted one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from simia_async.clients import ChatClient, Spending
from simia_async.config import SCRIPTED, Budget, Endpoint
from simia_async.runs.spending import check_prices
from simia_async.supervision.service import CHILD_BACKOFF_S, Report, run_service


@asynccontextmanager
async def connect_simulator(
    endpoint: Endpoint, budget: Budget, report: Report
) -> AsyncIterator[ChatClient]:
    """A client of the simulator that counts what it spends. A named endpoint is asked once whether
    it would answer at all.

    Raises `EndpointError` if it would not, and `ConfigError` if the budget could not be kept.
    """
    spending = Spending(budget)
    if endpoint.base_url:
        async with ChatClient.connect(endpoint, spending=spending) as client:
            check_prices(budget, client)
            await client.check()
            yield client
        return
    async with run_service("simulator", "simia_async.builtin.server", report) as service:
        embedded = msgspec.structs.replace(
            endpoint,
            base_url=service.base_url,
            model=SCRIPTED,
            # The embedded server needs no key, and must not be sent one that is meant for others.
            api_key_env="",
            max_backoff_s=CHILD_BACKOFF_S,
        )
        async with ChatClient.connect(embedded, spending=spending) as client:
            yield client
