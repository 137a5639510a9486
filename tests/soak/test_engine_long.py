"""256 conversations at once against the engine's own process, while its versions are exchanged."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.supervision.service import run_service
from tests.policy_swaps import check, play_in_waves
from tests.trained_adapters import MODEL, trained_adapters

pytestmark = pytest.mark.soak

CONVERSATIONS, VERSIONS = 512, 2
"""Two waves of 256; the second begins while half of the first is under way."""


async def test_256_conversations_and_a_version_swap_lose_and_mix_nothing(tmp_path: Path) -> None:
    adapters = trained_adapters(tmp_path, VERSIONS)
    deaths: list[str] = []
    flags = ["--model", str(MODEL)]
    async with run_service(
        "policy engine", "simia_async.inference.server", deaths.append, lambda: flags
    ) as service:
        endpoint = Endpoint(
            base_url=service.base_url,
            model="policy@0",
            api_key_env="",
            max_in_flight=CONVERSATIONS,
            timeout_s=600,
        )
        async with ChatClient.connect(endpoint) as client:
            played = await play_in_waves(client, CONVERSATIONS, adapters)
    check(played, adapters, CONVERSATIONS)
    assert deaths == []
