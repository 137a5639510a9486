"""What a run's owner does about the commands that other processes leave for it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from simia_store import STOP, CommandRecord, CommandStatus, RunStatus, Store, StoreError

from simia_async.errors import RunStopped, UsageError

_LOOK_EVERY_S = 0.5

Obey = Callable[[dict[str, Any]], str]
"""Does what a command with these arguments asks for, and says what it did. Raises `UsageError` to
refuse."""

Commands = Mapping[str, Obey]
"""What a run can be asked for besides `stop`, by the command's name."""


@asynccontextmanager
async def obey(store: Store, commands: Commands) -> AsyncIterator[None]:
    """Do what others ask for, as long as the context lasts.

    Raises `RunStopped` when the run was asked to end and has ended; whoever asked is answered with
    the run's last line, not here.
    """
    for command in await store.waiting_commands():
        await store.answer(
            command,
            CommandStatus.REFUSED,
            "it was left for an earlier owner of this run, who had ended",
        )
    with anyio.CancelScope() as scope:
        watcher = asyncio.create_task(_watch(store, commands, scope), name="commands")
        try:
            yield
        finally:
            watcher.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([watcher])
            if not watcher.cancelled():
                watcher.result()
    if scope.cancelled_caught:
        raise RunStopped("stopped by `simia runs stop`")


async def _watch(store: Store, commands: Commands, scope: anyio.CancelScope) -> None:
    while not scope.cancel_called:
        await asyncio.sleep(_LOOK_EVERY_S)
        # A full disk is told to those who have something to lose.
        with contextlib.suppress(StoreError):
            for command in await store.waiting_commands():
                if command.name == STOP:
                    scope.cancel()
                else:
                    await store.answer(command, *_handled(command, commands))


def _handled(command: CommandRecord, commands: Commands) -> tuple[CommandStatus, str]:
    do = commands.get(command.name)
    if do is None:
        return CommandStatus.REFUSED, _unknown(command, commands)
    try:
        return CommandStatus.DONE, do(command.arguments)
    except UsageError as refusal:
        return CommandStatus.REFUSED, str(refusal)


def last_answers(waiting: Iterable[CommandRecord], status: RunStatus) -> list[CommandRecord]:
    """Answers of an owner that ends its run: nobody is left to wait in vain."""
    now = time.time()
    return [
        msgspec.structs.replace(
            command,
            status=CommandStatus.DONE if command.name == STOP else CommandStatus.REFUSED,
            answer=f"the run ended: {status}",
            handled_at=now,
        )
        for command in waiting
    ]


def _unknown(command: CommandRecord, commands: Commands) -> str:
    known = ", ".join([STOP, *commands])
    return f"the owner of this run knows no command {command.name!r}; it knows: {known}"
