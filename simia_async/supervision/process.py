"""The owner's side: start a child, hear its frames, and say which one ended and why."""

import contextlib
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import anyio
import anyio.abc
import msgspec

from simia_async.errors import ChildFailed, SimiaError, UsageError, single_error
from simia_async.supervision.endings import how_it_ended
from simia_async.supervision.frames import Failed, FromChild, ToChild, Unpacker, pack

_decoder = msgspec.msgpack.Decoder(FromChild)
_LAST_WORDS = 20
"""Lines of a child's standard error that are kept for the report of its death."""
_GRACE_S = 3.0


class ChildProcess:
    """A running child. Made by `ChildProcess.start`."""

    def __init__(self, name: str, process: anyio.abc.Process) -> None:
        self.name = name
        self._process = process
        self._unpacker = Unpacker()
        self._frames: deque[FromChild] = deque()
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @classmethod
    @asynccontextmanager
    async def start(cls, name: str, module: str, arguments: Sequence[str]) -> AsyncIterator[Self]:
        """Run `python -m module`; on exit the child is told to go, then made to."""
        async with cls._run(name, [sys.executable, "-m", module, *arguments]) as child:
            yield child

    @classmethod
    @asynccontextmanager
    async def _run(cls, name: str, command: Sequence[str]) -> AsyncIterator[Self]:
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        child = cls(name, process)
        try:
            with single_error():
                async with anyio.create_task_group() as group:
                    group.start_soon(child._look_after)
                    try:
                        yield child
                    finally:
                        await child._end()
                        group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await process.aclose()

    async def send(self, command: ToChild) -> None:
        """Give the child a command. Raises `ChildFailed` if it is gone."""
        if not await self.write(pack(command)):
            raise await self.obituary()

    async def receive(self) -> FromChild:
        """The child's next frame. Raises `ChildFailed` when it ends, `UsageError` when it says
        that its input is bad.
        """
        while not self._frames:
            bodies = await self.read()
            if not bodies:
                raise await self.obituary()
            self._frames.extend(map(_decoder.decode, bodies))
        frame = self._frames.popleft()
        if isinstance(frame, Failed):
            raise (UsageError if frame.usage else ChildFailed)(frame.message)
        return frame

    async def write(self, data: bytes) -> bool:
        """Write into the pipe, and wait while that is full; whether the child is there to read."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True

    async def read(self) -> list[bytes]:
        """The bodies of the frames that came next; none if the child has ended."""
        assert self._process.stdout is not None
        bodies: list[bytes] = []
        while not bodies:
            try:
                data = await self._process.stdout.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
                break
            bodies = self._unpacker.feed(data)
        return bodies

    async def obituary(self) -> SimiaError:
        """Which child ended, how, and its last words; waits for the end."""
        code = await self._process.wait()
        await anyio.sleep(0.05)  # lets what it wrote last arrive
        how = how_it_ended(code)
        if code >= 0:
            how += f": {self._last_words[-1] if self._last_words else 'it said nothing'}"
        return ChildFailed(f"the {self.name} process (pid {self.pid}) {how}")

    async def _look_after(self) -> None:
        """What is done beside, while the child lives."""
        await self._listen_to_stderr()

    async def _listen_to_stderr(self) -> None:
        assert self._process.stderr is not None
        rest = ""
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for data in self._process.stderr:
                *lines, rest = (rest + data.decode(errors="replace")).split("\n")
                self._last_words.extend(line for line in lines if line.strip())

    async def _end(self) -> None:
        """Close the pipe, which ends the child; kill it if that is not enough."""
        with anyio.CancelScope(shield=True):
            assert self._process.stdin is not None
            with contextlib.suppress(anyio.BrokenResourceError, OSError):
                await self._process.stdin.aclose()
            with anyio.move_on_after(_GRACE_S):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
