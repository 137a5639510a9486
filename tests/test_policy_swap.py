"""Versions that come and go over HTTP while conversations are under way."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from simia_async.clients import ChatClient
from simia_async.config import Endpoint
from simia_async.inference.engine import Engine
from tests.policy_endpoints import served
from tests.policy_swaps import check, play_in_waves
from tests.trained_adapters import MODEL, RENDERER, trained_adapters

CONVERSATIONS, VERSIONS = 16, 2


async def test_a_swap_under_load_loses_and_mixes_nothing(tmp_path: Path) -> None:
    adapters = trained_adapters(tmp_path, VERSIONS, steps=4)
    engine = Engine(MODEL, RENDERER.eos_id, max_slots=12)
    async with served(engine) as base_url:
        endpoint = Endpoint(base_url=base_url, model="policy@0", api_key_env="")
        async with ChatClient.connect(endpoint) as client:
            played = await play_in_waves(client, CONVERSATIONS, adapters)
    check(played, adapters, CONVERSATIONS)
    assert list(engine.models) == ["policy@0"]
