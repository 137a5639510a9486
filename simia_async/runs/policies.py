"""The policy of a run, by version: an engine child with its adapters, or an endpoint."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio.to_thread
import msgspec

from simia_async.clients import ChatClient
from simia_async.config import SCRIPTED, SCRIPTED_AGENT, Endpoint, PlayConfig
from simia_async.errors import ConfigError, EndpointRefused
from simia_async.models import model_directory, policy_name
from simia_async.rollouts.places import PolicyDesk, PolicyPlace
from simia_async.rollouts.voices import Policy, Sampling
from simia_async.runs.simulators import connect_checked, connect_embedded
from simia_async.supervision.service import CHILD_BACKOFF_S, Report, run_service

_TINY = MappingProxyType({"temperature": 1.0, "max_tokens": 110, "context": 1024})
"""How the embedded policy is sampled where the settings say nothing."""

_AtTemperature = Callable[[int, float | None], Policy]


class PolicyHost:
    """Where the policy is asked, and which versions of it are there. See `connect_policy`."""

    def __init__(
        self,
        client: ChatClient,
        make: _AtTemperature,
        loaded: dict[int, Path],
        place: PolicyPlace | None = None,
    ) -> None:
        """`place` is None for one that other processes cannot ask."""
        self.client = client
        self.place = place
        self._make = make
        self._loaded = loaded

    @property
    def versions(self) -> list[int]:
        """Those of the adapters that it holds."""
        return list(self._loaded)

    def at(self, version: int, temperature: float | None = None) -> Policy:
        """One version, sampled as the run's settings say; a `temperature` goes before theirs."""
        return self._make(version, temperature)

    async def load(self, version: int, path: Path) -> None:
        """Hold one more adapter, by vLLM's runtime route.

        Raises `EndpointError`; `EndpointRefused` where the endpoint takes none.
        """
        self._loaded[version] = path
        # The server may have been started in another directory.
        place = await anyio.to_thread.run_sync(path.absolute)
        body = {"lora_name": policy_name(version), "lora_path": str(place)}
        try:
            await self.client.request("/load_lora_adapter", body)
        except EndpointRefused:
            # It may hold another adapter by that name, of a session or a run that was cut off.
            await self._drop(version)
            await self.client.request("/load_lora_adapter", body)

    async def unload(self, version: int) -> None:
        """Let an adapter go."""
        if self._loaded.pop(version, None) is not None:
            await self._drop(version)

    async def _drop(self, version: int) -> None:
        # An engine that was started again meanwhile does not have it, and says so.
        with contextlib.suppress(EndpointRefused):
            await self.client.request("/unload_lora_adapter", {"lora_name": policy_name(version)})


@asynccontextmanager
async def connect_policy(
    config: PlayConfig, adapters: dict[int, Path], simulator: ChatClient, report: Report
) -> AsyncIterator[PolicyHost]:
    """The policy that a run plays with: its base, and `adapters` by version. What it costs is
    charged as the simulator's.

    Raises `UsageError`, or `EndpointError` if its endpoint would not answer.
    """
    named, spending = config.policy, simulator.spending
    if named.model == SCRIPTED_AGENT and not named.base_url:
        async with (
            _scripted_agent(named.as_unplaced(), simulator.endpoint, report) as endpoint,
            ChatClient.connect(endpoint, spending=spending) as client,
        ):
            yield _host(config, client, PolicyDesk(PolicyPlace()))
    elif named.base_url:
        endpoint = named.as_endpoint()
        desk = PolicyDesk(_place_of(config, endpoint.model or ""))
        async with connect_checked(endpoint, config.budget, spending, flags="policy-") as client:
            if desk.place.tokenizer is None:
                yield _host(config, client, desk)
                return
            host = _host(config, client, desk, adapters)
            for version, path in adapters.items():
                await host.load(version, path)
            yield host
    else:
        async with _embedded_engine(config, adapters, report) as host:
            yield host


def _host(
    config: PlayConfig, client: ChatClient, desk: PolicyDesk, loaded: dict[int, Path] | None = None
) -> PolicyHost:
    def make(version: int, temperature: float | None) -> Policy:
        return desk.at(client, version, sampling_of(config, temperature, desk.place.unset))

    return PolicyHost(client, make, {} if loaded is None else loaded, desk.place)


def sampling_of(
    config: PlayConfig, temperature: float | None, unset: Mapping[str, Any]
) -> Sampling:
    """How the policy is sampled; `unset` is for what the settings do not say."""
    stated = {
        "temperature": config.policy.temperature if temperature is None else temperature,
        "max_tokens": config.max_tokens,
        "context": config.context,
    }
    given = {name: value for name, value in stated.items() if value is not None}
    return Sampling(config.max_turns, **{**unset, **given})


@asynccontextmanager
async def _scripted_agent(
    endpoint: Endpoint, simulator: Endpoint, report: Report
) -> AsyncIterator[Endpoint]:
    """Where the scripted agent is: the embedded simulator's server plays it too."""
    if simulator.model == SCRIPTED:
        url, backoff_s = simulator.base_url, simulator.max_backoff_s
        yield msgspec.structs.replace(
            endpoint, base_url=url, model=SCRIPTED_AGENT, api_key_env="", max_backoff_s=backoff_s
        )
        return
    async with connect_embedded(endpoint, SCRIPTED_AGENT, report) as embedded:
        yield embedded


def _place_of(config: PlayConfig, name: str) -> PolicyPlace:
    """Of the policy that its endpoint calls `name`."""
    named = config.policy
    if named.tokenizer is None:
        return PolicyPlace(named.calls)
    if config.max_tokens is None and config.context is None:
        raise ConfigError(
            "--policy-tokenizer: also needs --max-tokens or --context, for an endpoint that is "
            "asked over token ids ends a turn after 16 tokens if it is not told"
        )
    return PolicyPlace(named.calls, str(model_directory(named.tokenizer)), name)


@asynccontextmanager
async def _embedded_engine(
    config: PlayConfig, adapters: dict[int, Path], report: Report
) -> AsyncIterator[PolicyHost]:
    """An engine child. A restart loads again what was loaded."""
    model_dir = model_directory(config.model)
    desk = PolicyDesk(PolicyPlace(config.policy.calls, str(model_dir), unset=dict(_TINY)))
    loaded = dict(adapters)

    def arguments() -> list[str]:
        named = [f"{policy_name(version)}={path}" for version, path in loaded.items()]
        flags = [part for adapter in named for part in ("--adapter", adapter)]
        return ["--model", str(model_dir), *flags]

    async with run_service(
        "policy engine", "simia_async.inference.server", report, arguments
    ) as service:
        endpoint = Endpoint(
            base_url=service.base_url,
            model=policy_name(0),
            api_key_env="",
            max_in_flight=min(config.concurrency, config.policy.max_in_flight),
            max_backoff_s=CHILD_BACKOFF_S,
        )
        async with ChatClient.connect(endpoint) as client:
            yield _host(config, client, desk, loaded)
