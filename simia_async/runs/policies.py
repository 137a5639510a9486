"""The policy of a run: an engine child, and the adapter versions loaded into it."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from simia_async.clients import ChatClient
from simia_async.config import Endpoint, PlayConfig
from simia_async.errors import EndpointRefused
from simia_async.models import model_directory, policy_name
from simia_async.rendering.renderer import Renderer
from simia_async.rollouts.conversation import Policy
from simia_async.supervision.service import CHILD_BACKOFF_S, Report, run_service


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
    ) -> Policy:
        """One version of the policy, sampled as the run's settings say."""
        return Policy(
            client=self.client,
            renderer=renderer,
            version=version,
            temperature=temperature,
            max_turns=config.max_turns,
            max_tokens=config.max_tokens,
            context=config.context,
        )

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
