"""The simulator of a run: an endpoint that was named, or the embedded scripted one; one for all its
roles, or some with their own.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from simia_async.clients import ChatClient, Spending
from simia_async.clients.governor import Governor
from simia_async.config import SCRIPTED, Budget, Endpoint, RoleEndpoint
from simia_async.errors import ConfigError
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
    endpoint: Endpoint,
    budget: Budget,
    spending: Spending,
    *,
    flags: str = "",
    governor: Governor | None = None,
) -> AsyncIterator[ChatClient]:
    """A client of a named endpoint, which was asked once whether it would answer. `flags` is what
    those of its prices begin with; a `governor` is that of another client of the same model.
    """
    async with ChatClient.connect(endpoint, spending=spending, governor=governor) as client:
        check_prices(budget, client, flags)
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
    simulator: ChatClient, named: Endpoint, own: dict[str, RoleEndpoint], budget: Budget
) -> AsyncIterator[dict[str, ChatClient]]:
    """A client for every role of `own`: the simulator's, where nothing differs from it. `named` is
    the simulator's endpoint as it was named, without a place if it is embedded.

    What asks the same model at the same place within the same limits shares one governor. Raises
    as `connect_simulator` does.
    """
    governors = {_queue_of(simulator.endpoint): simulator.governor}
    async with AsyncExitStack() as opened:
        clients: dict[str, ChatClient] = {}
        for role, its in own.items():
            clients[role] = simulator
            # One that names no place is asked where the simulator is, embedded or not.
            endpoint = its.over(named if its.base_url else simulator.endpoint)
            if endpoint == simulator.endpoint:
                continue
            if not named.base_url and not its.base_url and its.model:
                raise ConfigError(
                    f"--{role}-model: also needs --{role}-url: the embedded simulator has no models"
                )
            governor, spending = governors.get(_queue_of(endpoint)), simulator.spending
            if endpoint.model == SCRIPTED:
                # The embedded one has no price, and was up before it was asked for.
                connecting = ChatClient.connect(endpoint, spending=spending, governor=governor)
            else:
                connecting = connect_checked(
                    endpoint, budget, spending, flags=f"{role}-", governor=governor
                )
            clients[role] = await opened.enter_async_context(connecting)
            governors[_queue_of(endpoint)] = clients[role].governor
        yield clients


def _queue_of(endpoint: Endpoint) -> tuple[object, ...]:
    """What endpoints have in common that share a governor."""
    return (
        endpoint.base_url,
        endpoint.model,
        endpoint.provider,
        endpoint.api_key_env,
        endpoint.max_in_flight,
        endpoint.requests_per_minute,
        endpoint.tokens_per_minute,
    )
