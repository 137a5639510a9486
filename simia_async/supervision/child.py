"""A child's side of the pipes to its owner."""

import os
import queue
import sys
import threading

import msgspec

from simia_async.errors import SimiaError, UsageError
from simia_async.supervision.frames import Failed, FromChild, ToChild, Unpacker, pack

_decoder = msgspec.msgpack.Decoder(ToChild)


class OwnerPipe:
    """Takes standard input and output over for frames.

    What anything prints goes to standard error instead. When the owner is gone its end of the
    pipe closes, and the process ends at once, whatever it is doing: no orphan survives.
    """

    def __init__(self) -> None:
        self._out = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._lock = threading.Lock()
        self._commands: queue.SimpleQueue[ToChild] = queue.SimpleQueue()
        threading.Thread(target=self._watch_owner, daemon=True, name="owner-pipe").start()

    def send(self, frame: FromChild) -> None:
        """Tell the owner."""
        data = pack(frame)
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def receive(self) -> ToChild:
        """The owner's next command; blocks until there is one."""
        return self._commands.get()

    def fail(self, error: SimiaError) -> None:
        """Tell the owner why the work cannot go on."""
        self.send(Failed(str(error), isinstance(error, UsageError)))

    def _watch_owner(self) -> None:
        unpacker = Unpacker()
        fd = sys.stdin.fileno()
        while data := os.read(fd, 65536):
            for body in unpacker.feed(data):
                self._commands.put(_decoder.decode(body))
        # Not sys.exit: the main thread may be deep in a training step.
        os._exit(0)
