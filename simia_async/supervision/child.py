"""A child's side of the pipes to its owner."""

import os
import queue
import sys
import threading
from collections.abc import Callable

import msgspec

from simia_async.errors import SimiaError, UsageError
from simia_async.supervision.frames import BEGINNING, Failed, FromChild, ToChild, Unpacker, pack

_decoder = msgspec.msgpack.Decoder(ToChild)


class CommandPipe:
    """Commands from whoever gives them, and what it is told, over two file descriptors.

    When its end closes `gone` is called, in another thread; the main thread may be deep in a
    training step.
    """

    def __init__(self, reading: int, writing: int, gone: Callable[[], None]) -> None:
        self._in, self._out = reading, writing
        self._gone = gone
        self._lock = threading.Lock()
        self._commands: queue.SimpleQueue[ToChild] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True, name="commands").start()

    def send(self, frame: FromChild) -> None:
        """Tell the owner."""
        self._write(pack(frame))

    def receive(self) -> ToChild:
        """The owner's next command; blocks until there is one."""
        return self._commands.get()

    def has_command(self) -> bool:
        """Whether the next command is there, so that `receive` would not block."""
        return not self._commands.empty()

    def fail(self, error: SimiaError) -> None:
        """Tell the owner why the work cannot go on."""
        self.send(Failed(str(error), isinstance(error, UsageError)))

    def _write(self, data: bytes) -> None:
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def _listen(self) -> None:
        unpacker = Unpacker()
        while data := self._read():
            for body in unpacker.feed(data):
                self._commands.put(_decoder.decode(body))
        self._gone()

    def _read(self) -> bytes:
        try:
            return os.read(self._in, 65536)
        except ConnectionError:
            return b""


class OwnerPipe(CommandPipe):
    """Takes standard input and output over for frames.

    What anything prints goes to standard error instead. When the owner is gone its end of the
    pipe closes, and the process ends at once, whatever it is doing: no orphan survives.
    """

    def __init__(self) -> None:
        writing = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        # Not sys.exit, which would end but the thread.
        super().__init__(sys.stdin.fileno(), writing, gone=lambda: os._exit(0))

    def begin(self) -> None:
        """Say that from here on there are frames and nothing else: a launcher before may have
        said something too.
        """
        self._write(BEGINNING)
