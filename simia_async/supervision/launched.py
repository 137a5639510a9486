"""A child of several processes, which a launcher such as torchrun starts."""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.abc

from simia_async.errors import ChildFailed, SimiaError, UsageError
from simia_async.supervision.endings import how_it_ended
from simia_async.supervision.frames import BEGINNING, Joined, Unpacker
from simia_async.supervision.last_words import cause_of_death, last_error
from simia_async.supervision.process import ChildProcess

_LINES = 600
"""Of standard error, which all processes and their launcher share."""
_BEGIN_S = 600.0
_END_S = 15.0
"""In which all of it ends by itself."""
_LOOK_S = 0.2


def start_child(
    name: str, module: str, arguments: Sequence[str], launcher: Sequence[str] = ()
) -> AbstractAsyncContextManager[ChildProcess]:
    """One process, or with a `launcher` as many as it starts. See `ChildProcess.start`."""
    if not launcher:
        return ChildProcess.start(name, module, arguments)
    return LaunchedProcess.launch(name, module, arguments, launcher)


class LaunchedProcess(ChildProcess):
    """The first of the processes, as its owner sees it; `pid` is the launcher's."""

    def __init__(self, name: str, process: anyio.abc.Process) -> None:
        super().__init__(name, process)
        self._unpacker = Unpacker(BEGINNING)
        self._last_words = deque(maxlen=_LINES)
        self._all_gone = anyio.Event()
        self._has_begun = False

    @classmethod
    @asynccontextmanager
    async def launch(
        cls, name: str, module: str, arguments: Sequence[str], launcher: Sequence[str]
    ) -> AsyncIterator["ChildProcess"]:
        """Run `launcher -m module --launched`, until its processes have met.

        Raises `UsageError` if they do not; how they end afterwards is `ChildFailed`.
        """
        async with cls._run(name, [*launcher, "-m", module, *arguments, "--launched"]) as child:
            with anyio.move_on_after(_BEGIN_S):
                joined = await child.receive()
                assert isinstance(joined, Joined)
                child._has_begun = True
            if not child._has_begun:
                raise UsageError(
                    f"--launch: no {name} began within {_BEGIN_S / 60:.0f} minutes; expected a "
                    "launcher such as torchrun or accelerate launch"
                )
            yield child

    async def obituary(self) -> SimiaError:
        """Which of the processes ended first, how, and its last words; waits for the end of all."""
        with anyio.move_on_after(_END_S + 30):  # torchrun gives those that hang 30 seconds
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        with anyio.move_on_after(_END_S):
            await self._all_gone.wait()
        code, lines = self._process.returncode, list(self._last_words)
        assert code is not None
        cause = cause_of_death(lines)
        if cause is None:
            last = f": {last_error(lines)}" if code >= 0 else ""
            cause = f"the launcher (pid {self.pid}) {how_it_ended(code)}{last}"
        if not self._has_begun:
            return UsageError(f"--launch: the {self.name} did not begin: {cause}")
        return ChildFailed(cause)

    async def _look_after(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_launcher)
            await self._listen_to_stderr()
            self._all_gone.set()

    async def _watch_launcher(self) -> None:
        """Its processes may outlive it; they go when the pipe closes."""
        # Not `wait`, which in some versions of asyncio also waits for what they hold open.
        while self._process.returncode is None:  # noqa: ASYNC110
            await anyio.sleep(_LOOK_S)
        await self._close_pipe()

    async def _close_pipe(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(anyio.BrokenResourceError, OSError):
            await self._process.stdin.aclose()

    async def _end(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._close_pipe()
            with anyio.move_on_after(_END_S):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            with anyio.move_on_after(_END_S):
                await self._all_gone.wait()
