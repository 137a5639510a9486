"""The policy of a run: an engine child and the adapter versions loaded into it, or an endpoint."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import msgspec

from simia_async.clients import ChatClient
from simia_async.config import SCRIPTED, SCRIPTED_AGENT, Endpoint, PlayConfig, RolloutConfig
from simia_async.errors import ConfigError, EndpointRefused
from simia_async.models import check_adapter, model_directory, policy_name
from simia_async.rendering.call_styles import HERMES, LLAMA3, CallStyle
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.chat_voice import ChatPolicy
from simia_async.rollouts.token_voice import TokenPolicy
from simia_async.rollouts.voices import Sampling
from simia_async.runs.simulators import connect_checked, connect_embedded
from simia_async.supervision.service import CHILD_BACKOFF_S, Report, run_service

_TINY_TOKENS = 110
_TINY_CONTEXT = 1024
"""Limits of the embedded policy that is given none."""

_STYLES: dict[str, CallStyle | None] = {"native": None, "hermes": HERMES, "llama3": LLAMA3}


class PolicyEngine:
    """A running engine. Made by `PolicyEngine.start`."""

    def __init__(self, client: ChatClient, loaded: dict[int, Path]) -> None:
        self.client = client
        self._loaded = loaded

    @classmethod
    @asynccontextmanager
    async def start(
        cls, model: str, adapters: dict[int, Path], max_in_flight: int, report: Report
    ) -> AsyncIterator[Self]:
        """An engine that holds the base and `adapters` by version.

        A restart loads again what was loaded.
        """
        model_dir = model_directory(model)
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
                max_in_flight=max_in_flight,
                max_backoff_s=CHILD_BACKOFF_S,
            )
            async with ChatClient.connect(endpoint) as client:
                yield cls(client, loaded)

    def policy(
        self, config: PlayConfig, renderer: Renderer, *, version: int, temperature: float
    ) -> TokenPolicy:
        """One version of the policy, sampled as the run's settings say."""
        sampling = Sampling(config.max_turns, temperature, config.max_tokens, config.context)
        return TokenPolicy(self.client, renderer, sampling, version)

    async def load(self, version: int, path: Path) -> None:
        """Hold one more adapter."""
        self._loaded[version] = path
        body = {"lora_name": policy_name(version), "lora_path": str(path)}
        await self.client.request("/load_lora_adapter", body)

    async def unload(self, version: int) -> None:
        """Let an adapter go."""
        del self._loaded[version]
        # An engine that was started again meanwhile does not have it, and says so.
        with contextlib.suppress(EndpointRefused):
            await self.client.request("/unload_lora_adapter", {"lora_name": policy_name(version)})


@asynccontextmanager
async def connect_policy(
    config: RolloutConfig, simulator: ChatClient, report: Report
) -> AsyncIterator[ChatPolicy | TokenPolicy]:
    """The policy that a run of rollouts plays with. What it costs is charged as the simulator's.

    Raises `UsageError`, or `EndpointError` if its endpoint would not answer.
    """
    named = config.policy
    sampling = Sampling(config.max_turns, named.temperature, config.max_tokens, config.context)
    spending = simulator.spending
    if named.model == SCRIPTED_AGENT and not named.base_url:
        async with (
            _scripted_agent(named.as_unplaced(), simulator.endpoint, report) as endpoint,
            ChatClient.connect(endpoint, spending=spending) as client,
        ):
            yield ChatPolicy(client, sampling)
    elif named.base_url:
        renderer = _renderer_of(config)
        endpoint = named.as_endpoint()
        async with connect_checked(endpoint, config.budget, spending, flags="policy-") as client:
            style = _STYLES[named.calls]
            if renderer is None:
                yield ChatPolicy(client, sampling, style)
            else:
                name = endpoint.model or ""
                yield TokenPolicy(client, renderer, sampling, name=name, style=style or HERMES)
    else:
        async with _embedded_engine(config, report) as policy:
            yield policy


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


def _renderer_of(config: RolloutConfig) -> Renderer | None:
    if config.policy.tokenizer is None:
        return None
    if config.max_tokens is None and config.context is None:
        raise ConfigError(
            "--policy-tokenizer: also needs --max-tokens or --context, for an endpoint that is "
            "asked over token ids ends a turn after 16 tokens if it is not told"
        )
    return Renderer(model_directory(config.policy.tokenizer))


@asynccontextmanager
async def _embedded_engine(config: RolloutConfig, report: Report) -> AsyncIterator[TokenPolicy]:
    renderer = Renderer(model_directory(config.model))
    adapters = {1: check_adapter(Path(config.adapter))} if config.adapter else {}
    temperature = config.policy.temperature
    sampling = Sampling(
        config.max_turns,
        1.0 if temperature is None else temperature,
        config.max_tokens or _TINY_TOKENS,
        config.context or _TINY_CONTEXT,
    )
    in_flight = min(config.concurrency, config.policy.max_in_flight)
    async with PolicyEngine.start(config.model, adapters, in_flight, report) as engine:
        version, style = max(adapters, default=0), _STYLES[config.policy.calls] or HERMES
        yield TokenPolicy(engine.client, renderer, sampling, version, style=style)
