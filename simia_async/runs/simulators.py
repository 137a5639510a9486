"""The simulator of a run: an endpoint that was named, or the embedded scripted one; one for all its
roles, or some with their own.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from simia_async.clients import ChatClient, Spending
from simia_async.config import SCRIPTED, Budget, Endpoint, RoleEndpoint
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
        async with connect_checked(endpoint, budget, spending) as client:
            yield client
        return
    async with (
        connect_embedded(endpoint, SCRIPTED, report) as embedded,
        ChatClient.connect(embedded, spending=spending) as client,
    ):
        yield client


@asynccontextmanager
async def connect_checked(
    endpoint: Endpoint, budget: Budget, spending: Spending, like: ChatClient | None = None
) -> AsyncIterator[ChatClient]:
    """A client of a named endpoint, which was asked once whether it would answer. It shares the
    governor of `like` where both are one model at one place.
    """
    governor = like.governor if like and _is_same(like.endpoint, endpoint) else None
    async with ChatClient.connect(endpoint, spending=spending, governor=governor) as client:
        check_prices(budget, client)
        await client.check()
        yield client


@asynccontextmanager
async def connect_embedded(
    endpoint: Endpoint, model: str, report: Report
) -> AsyncIterator[Endpoint]:
    """The embedded scripted server as a child; where it is, with the settings of `endpoint`."""
    async with run_service("simulator", "simia_async.builtin.server", report) as service:
        yield msgspec.structs.replace(
            endpoint,
            base_url=service.base_url,
            model=model,
            # The embedded server needs no key, and must not be sent one that is meant for others.
            api_key_env="",
            max_backoff_s=CHILD_BACKOFF_S,
        )


@asynccontextmanager
async def connect_roles(
    simulator: ChatClient, own: dict[str, RoleEndpoint], budget: Budget
) -> AsyncIterator[dict[str, ChatClient]]:
    """A client for every role of `own`: the simulator's, where nothing differs from it."""
    async with AsyncExitStack() as opened:
        clients: dict[str, ChatClient] = {}
        for role, its in own.items():
            endpoint = its.over(simulator.endpoint)
            clients[role] = simulator
            if endpoint != simulator.endpoint:
                connecting = connect_checked(endpoint, budget, simulator.spending, like=simulator)
                clients[role] = await opened.enter_async_context(connecting)
        yield clients


def _is_same(one: Endpoint, other: Endpoint) -> bool:
    places = [(each.base_url, each.model, each.provider, each.api_key_env) for each in (one, other)]
    return places[0] == places[1]
