"""What a call costs, by the endpoint's own prices or those of a library."""

import pytest

from simia_async.clients.prices import Prices, prices_of
from simia_async.clients.wire import Usage
from simia_async.config import Endpoint

OPENAI = "https://api.openai.com/v1"


def test_prices_that_are_given_are_used() -> None:
    endpoint = Endpoint(
        base_url="http://x/v1", model="m", usd_per_million_in=1, usd_per_million_out=10
    )
    assert prices_of(endpoint) == Prices(1, 10, 1)


def test_known_models_have_prices_and_a_given_one_is_stronger() -> None:
    listed = prices_of(Endpoint(base_url=OPENAI, model="gpt-4o-mini"))
    assert listed is not None
    assert 0 < listed.tokens_cached < listed.tokens_in < listed.tokens_out
    mixed = prices_of(Endpoint(base_url=OPENAI, model="gpt-4o-mini", usd_per_million_out=7))
    assert mixed == Prices(listed.tokens_in, 7, listed.tokens_cached)


@pytest.mark.parametrize(
    ("base_url", "model", "provider"),
    [
        (OPENAI, "no-such-model-anywhere", "openai"),
        ("http://127.0.0.1:8000/v1", "Qwen/Qwen3-8B", "vllm"),
        ("http://127.0.0.1:11434/v1", "gpt-4o-mini", "ollama"),
        ("http://127.0.0.1:8000/v1", "gpt-4o-mini", "openai"),
    ],
)
def test_what_nobody_sells_has_no_price(base_url: str, model: str, provider: str) -> None:
    assert prices_of(Endpoint(base_url=base_url, model=model, provider=provider)) is None


def test_cached_tokens_are_part_of_those_in() -> None:
    prices = Prices(1.0, 10.0, 0.5)
    assert prices.cost_usd(Usage(1_000_000, 100_000, 400_000)) == pytest.approx(0.6 + 0.2 + 1)
    # A server may count wrongly; nobody is paid for a call.
    assert Prices(1.0, 10.0, 0.1).cost_usd(Usage(10, 0, 20)) >= 0
