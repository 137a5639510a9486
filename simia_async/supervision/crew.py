"""The processes of one launched child on this machine: the first has the owner's pipe and passes
commands on, and they end together.
"""

import hmac
import os
import select
import socket
import sys
import threading
from functools import partial

import msgspec

from simia_async.supervision.child import CommandPipe, OwnerPipe
from simia_async.supervision.frames import FromChild, ToChild, Unpacker, pack
from simia_async.supervision.last_words import tell_last_words

_STANDARD_INPUT = 0
_HELLO_S = 60.0
_NUMBER = 8
"""Bytes of a number in a greeting: the key, then rank and process id."""

_decoder = msgspec.msgpack.Decoder(FromChild)


class Crew:
    """The first one's connections to `others`. Whoever greets must have the key.

    What the others tell is told to the owner. One that is gone ends the first, and so all.
    """

    def __init__(self, listener: socket.socket, key: bytes, others: int, owner: OwnerPipe) -> None:
        self._owner = owner
        self._connections: list[socket.socket] = []
        while len(self._connections) < others:
            connection, _ = listener.accept()
            greeting = _greeting(connection, len(key) + 2 * _NUMBER)
            sent, numbers = greeting[: len(key)], greeting[len(key) :]
            if not hmac.compare_digest(sent, key):
                connection.close()
                continue
            rank, pid = (
                int.from_bytes(part, "big") for part in (numbers[:_NUMBER], numbers[_NUMBER:])
            )
            self._connections.append(connection)
            threading.Thread(target=self._hear, args=(connection, rank, pid), daemon=True).start()
        listener.close()

    def pass_on(self, command: ToChild) -> None:
        """Have the others do it too."""
        for connection in self._connections:
            connection.sendall(pack(command))

    def _hear(self, connection: socket.socket, rank: int, pid: int) -> None:
        unpacker = Unpacker()
        while data := _received(connection):
            for body in unpacker.feed(data):
                self._owner.send(_decoder.decode(body))
        tell_last_words(rank, pid)
        os._exit(1)


def join_crew(port: int, key: bytes, rank: int, first_pid: int) -> CommandPipe:
    """The connection of another process to the first, which gives it the owner's commands."""
    connection = socket.create_connection(("127.0.0.1", port))
    numbers = (rank, os.getpid())
    connection.sendall(key + b"".join(number.to_bytes(_NUMBER, "big") for number in numbers))
    fd = connection.detach()
    return CommandPipe(fd, fd, gone=partial(_end_with_first, first_pid))


def end_with_owner() -> None:
    """Have this process end when the owner does, though its pipe is the first one's to read; what
    it prints goes to standard error.
    """
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_watch_owner, daemon=True, name="owner").start()


def _greeting(connection: socket.socket, length: int) -> bytes:
    """What a new connection says first; less than `length` if it will not say more."""
    greeting = b""
    connection.settimeout(_HELLO_S)
    while len(greeting) < length and (data := _received(connection, length - len(greeting))):
        greeting += data
    connection.settimeout(None)
    return greeting


def _received(connection: socket.socket, most: int = 65536) -> bytes:
    """Empty when it has ended."""
    try:
        return connection.recv(most)
    except OSError:
        return b""


def _watch_owner() -> None:
    if _is_owner_gone(None):
        os._exit(0)


def _is_owner_gone(wait_ms: int | None) -> bool:
    """Whether the owner's end of standard input is closed; None waits until something changes."""
    poll = select.poll()
    # Nothing is read here, and that its end is closed is told unasked.
    poll.register(_STANDARD_INPUT, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(wait_ms))


def _end_with_first(pid: int) -> None:
    if not _is_owner_gone(0):
        tell_last_words(0, pid)
    os._exit(1)
