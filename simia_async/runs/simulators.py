"""The simulator of a run: an endpoint that was named, or the embedded scripted one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from simia_async.clients import ChatClient, Endpoint
from simia_async.config import SCRIPTED, SimulatorConfig
from simia_async.supervision.service import CHILD_BACKOFF_S, Report, run_service


@asynccontextmanager
async def connect_simulator(config: SimulatorConfig, report: Report) -> AsyncIterator[ChatClient]:
    """A client of the simulator. A named endpoint is asked once whether it would answer at all.

    Raises `EndpointError` if it would not.
    """
    if config.base_url and config.model:
        endpoint = Endpoint(
            base_url=config.base_url,
            model=config.model,
            api_key_env=config.api_key_env,
            max_in_flight=config.max_in_flight,
            requests_per_minute=config.requests_per_minute,
            usd_per_million_in=config.usd_per_million_in,
            usd_per_million_out=config.usd_per_million_out,
        )
        async with ChatClient.connect(endpoint) as client:
            await client.check()
            yield client
        return
    async with run_service("simulator", "simia_async.builtin.server", report) as service:
        endpoint = Endpoint(
            base_url=service.base_url,
            model=SCRIPTED,
            # The embedded server needs no key, and must not be sent one that is meant for others.
            api_key_env="",
            max_in_flight=config.max_in_flight,
            max_backoff_s=CHILD_BACKOFF_S,
        )
        async with ChatClient.connect(endpoint) as client:
            yield client
