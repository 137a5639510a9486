"""What a run's owner does about the commands that other processes leave for it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import msgspec
from simia_store import (
    CANCEL,
    CHECKPOINT,
    CONCURRENCY,
    PAUSE,
    REJUDGE,
    RESUME,
    STOP,
    STOP_AFTER_STEP,
    CommandRecord,
    CommandStatus,
    RunStatus,
    Store,
    StoreError,
)

from simia_async.errors import RunStopped, SimiaError, UsageError

_LOOK_EVERY_S = 0.5

Tell = Callable[[str], Awaitable[None]]
"""Says how far the work of a promise is."""


class Promise(NamedTuple):
    """What a command will come to that takes time."""

    said: str
    """What will be done: whoever asked hears it at once."""
    keep: Callable[[Tell], Awaitable[str | None]]
    """Does it, beside everything else, and says what came of it; None leaves the answer to the end
    of the run. A run that comes to its end waits for it, one that is stopped does not. Raises
    `SimiaError` if it could not be done."""


async def until_the_end(_: Tell) -> None:
    """Keeps a promise whose answer is the end of the run."""


Done = str | Promise
Obey = Callable[[dict[str, Any]], Done | Awaitable[Done]]
"""Does what a command with these arguments asks for, and says what it did. Raises `UsageError` to
refuse."""

Commands = Mapping[str, Obey]
"""What a run can be asked for besides `stop`, by the command's name."""

_PLAYS_NOTHING = "it plays no conversations with a policy"
_WHY_UNKNOWN = {
    PAUSE: _PLAYS_NOTHING,
    RESUME: _PLAYS_NOTHING,
    CONCURRENCY: _PLAYS_NOTHING,
    CANCEL: _PLAYS_NOTHING,
    REJUDGE: _PLAYS_NOTHING,
    STOP_AFTER_STEP: "it takes no training steps",
    CHECKPOINT: "it trains nothing, and what it does is stored as it is done",
}
"""Why a run has no use for a command that others know."""


@asynccontextmanager
async def obey(store: Store, commands: Commands) -> AsyncIterator[None]:
    """Do what others ask for, as long as the context lasts, and until what was promised is done.

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
        servant = _Servant(store, commands, scope)
        watcher = asyncio.create_task(servant.watch(), name="commands")
        try:
            yield
            await servant.keep_promises()
        finally:
            watcher.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([watcher])
                await servant.break_promises()
            if not watcher.cancelled():
                watcher.result()
    if scope.cancelled_caught:
        raise RunStopped("stopped by `simia runs stop`")


class _Servant:
    """Does what commands ask for."""

    def __init__(self, store: Store, commands: Commands, scope: anyio.CancelScope) -> None:
        self._store = store
        self._commands = commands
        self._scope = scope
        self._promised: dict[int | None, asyncio.Task[None]] = {}
        """Work that was promised, by the command's number; also when it is done."""

    async def watch(self) -> None:
        """Look for commands until the run is asked to end."""
        while not self._scope.cancel_called:
            await asyncio.sleep(_LOOK_EVERY_S)
            # A full disk is told to those who have something to lose.
            with contextlib.suppress(StoreError):
                for command in await self._store.waiting_commands():
                    if command.id in self._promised:
                        continue
                    if command.name == STOP:
                        self._scope.cancel()
                    else:
                        await self._do(command)

    async def keep_promises(self) -> None:
        """Wait until all that was promised is done."""
        while under_way := [task for task in self._promised.values() if not task.done()]:
            await asyncio.wait(under_way)

    async def break_promises(self) -> None:
        """Give up what is not done."""
        for task in self._promised.values():
            task.cancel()
        for told in await asyncio.gather(*self._promised.values(), return_exceptions=True):
            if isinstance(told, Exception):
                raise told

    async def _do(self, command: CommandRecord) -> None:
        do = self._commands.get(command.name)
        if do is None:
            await self._store.answer(command, CommandStatus.REFUSED, self._unknown(command.name))
            return
        try:
            given = do(command.arguments)
            done = given if isinstance(given, str | Promise) else await given
        except UsageError as refusal:
            await self._store.answer(command, CommandStatus.REFUSED, str(refusal))
            return
        if isinstance(done, str):
            await self._store.answer(command, CommandStatus.DONE, done)
        else:
            await self._store.take_up(command, done.said)
            work = asyncio.create_task(self._keep(command, done), name=command.name)
            self._promised[command.id] = work

    async def _keep(self, command: CommandRecord, promise: Promise) -> None:
        async def tell(said: str) -> None:
            with contextlib.suppress(StoreError):
                await self._store.take_up(command, said)

        try:
            status, answer = CommandStatus.DONE, await promise.keep(tell)
        except SimiaError as error:
            status, answer = CommandStatus.REFUSED, str(error)
        if answer is not None:
            with contextlib.suppress(StoreError):
                await self._store.answer(command, status, answer)

    def _unknown(self, name: str) -> str:
        known = ", ".join([STOP, *self._commands])
        why = f": {_WHY_UNKNOWN[name]}" if name in _WHY_UNKNOWN else ""
        return f"the owner of this run knows no command {name!r}{why}; it knows: {known}"


def last_answers(waiting: Iterable[CommandRecord], status: RunStatus) -> list[CommandRecord]:
    """Answers of an owner that ends its run: nobody is left to wait in vain."""
    now = time.time()
    return [
        msgspec.structs.replace(
            command,
            status=CommandStatus.DONE if command.name in _ENDING else CommandStatus.REFUSED,
            answer=_last_answer(command, status),
            handled_at=now,
        )
        for command in waiting
    ]


_ENDING = (STOP, STOP_AFTER_STEP)
"""Commands that are done when the run has ended."""


def _last_answer(command: CommandRecord, status: RunStatus) -> str:
    ended = f"the run ended: {status}"
    if command.name in _ENDING or command.answer is None:
        return ended
    return f"{ended}; so far: {command.answer}"
