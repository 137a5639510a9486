"""What owner and children say to each other: length-prefixed msgpack frames over pipes."""

from typing import Any

import msgspec


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child serves HTTP on this loopback port."""

    port: int


class Joined(msgspec.Struct, frozen=True, tag=True):
    """The processes of a child that was launched have met."""

    processes: int


class Metrics(msgspec.Struct, frozen=True, tag=True):
    """Measured values of one training step."""

    step: int
    values: dict[str, float]


class Published(msgspec.Struct, frozen=True, tag=True):
    """An adapter directory stands complete under its final name."""

    version: int
    path: str
    parent: str | None
    step: int


class Checkpointed(msgspec.Struct, frozen=True, tag=True):
    """A checkpoint that the owner asked for stands complete."""

    step: int
    path: str


class SftDone(msgspec.Struct, frozen=True, tag=True):
    """All of an SFT run is published. Versions are the same where there is no better one."""

    best: int
    last: int
    steps: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The child's work cannot go on; the message is one sentence for the user."""

    message: str
    usage: bool
    """Whether the cause is bad input."""


class TrainSft(msgspec.Struct, frozen=True, tag=True):
    """Train on the kept trajectories of runs, or go on with that, then publish."""

    data: list[str]
    config: dict[str, Any]


class TrainGrpo(msgspec.Struct, frozen=True, tag=True):
    """Take one step on the groups of a training step of the run, then publish `version`.

    The first command makes the trainer: from `resume_from`, the directory of the last version that
    the run published and knows of, if there is one.
    """

    data: str
    config: dict[str, Any]
    step: int
    version: int
    resume_from: str | None = None


class TakeCheckpoint(msgspec.Struct, frozen=True, tag=True):
    """Write a checkpoint when the optimizer step under way is taken; one after the last is not
    needed, since all is published then.
    """


FromChild = Ready | Joined | Metrics | Published | Checkpointed | SftDone | Failed
ToChild = TrainSft | TrainGrpo | TakeCheckpoint

BEGINNING = b"\0simia frames\n"
"""What a child that was launched says before its frames."""
_HEADER = 4

_encoder = msgspec.msgpack.Encoder()


def pack(frame: FromChild | ToChild) -> bytes:
    """One frame as bytes: framed msgpack."""
    return framed(_encoder.encode(frame))


def framed(body: bytes) -> bytes:
    """A body as `Unpacker` reads it: its length in four bytes, big-endian, then itself."""
    return len(body).to_bytes(_HEADER, "big") + body


class Unpacker:
    """Turns a byte stream back into the bodies of whole frames; what comes before `beginning` is
    none.
    """

    def __init__(self, beginning: bytes = b"") -> None:
        self._beginning = beginning
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies completed by `data`; an incomplete one waits for more."""
        self._buffer += data
        bodies: list[bytes] = []
        if self._beginning:
            before, found, rest = self._buffer.partition(self._beginning)
            if not found:
                self._buffer = before[-len(self._beginning) :]
                return bodies
            self._buffer, self._beginning = rest, b""
        while len(self._buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self._buffer[:_HEADER], "big")
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[_HEADER:end]))
            del self._buffer[:end]
        return bodies
