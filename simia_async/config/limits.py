"""Settings that every kind of run shares: what it may spend, and how its record is kept."""

from typing import Annotated

from msgspec import Meta

from simia_async.config.fields import Settings


class Budget(Settings, frozen=True, kw_only=True):
    """What a run may spend on calls of LLMs."""

    max_cost_usd: (
        Annotated[
            float, Meta(description="US dollars, at most.", gt=0, extra={"unset": "no limit"})
        ]
        | None
    ) = None
    max_tokens: (
        Annotated[
            int,
            Meta(
                description="Tokens in and out, at most.",
                ge=1,
                extra={"flag": "--max-total-tokens", "unset": "no limit"},
            ),
        ]
        | None
    ) = None


class StoreConfig(Settings, frozen=True, kw_only=True):
    """How the run's database is written."""

    durable: Annotated[
        bool, Meta(description="Every commit survives a power cut too (synchronous=FULL).")
    ] = False
