"""What a run's governors, its writer and its spending say of themselves, written down now and then.

Screens are in other processes: what is not in the store they cannot show.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import msgspec
from simia_store import StatisticsRecord, Store, StoreError

_EVERY_S = 2.0

Sources = dict[str, Callable[[], msgspec.Struct]]
"""Name of a source, and what asks it for its statistics. May grow meanwhile."""


@asynccontextmanager
async def pulse(store: Store, sources: Sources) -> AsyncIterator[None]:
    """Sample `sources` as long as the context lasts, and once more at its end."""
    last: dict[str, Any] = {}

    async def sample() -> None:
        said = {name: msgspec.to_builtins(ask()) for name, ask in sources.items()}
        news = [StatisticsRecord(name, it) for name, it in said.items() if last.get(name) != it]
        # A full disk is told to those who have something to lose.
        with suppress(StoreError):
            await store.append(*news)
            last.update(said)

    async def beat() -> None:
        while True:
            await anyio.sleep(_EVERY_S)
            await sample()

    async with anyio.create_task_group() as group:
        group.start_soon(beat)
        try:
            yield
        finally:
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await sample()
