"""Ending politely on SIGINT and SIGTERM."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

R = TypeVar("R")


class Signalled(Exception):
    """A signal asked for the end before it was there."""


async def until_signalled(main: Callable[[], Awaitable[R]]) -> R:
    """What `main` returns. A signal cancels it, so that it can write its last line; while it ends,
    more of them change nothing. Raises `Signalled`.
    """
    results: list[R] = []
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as group:

            async def end_on_signal() -> None:
                async for _ in signals:
                    group.cancel_scope.cancel()

            group.start_soon(end_on_signal)
            results.append(await main())
            group.cancel_scope.cancel()
    if not results:
        raise Signalled
    return results[0]
