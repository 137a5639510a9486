"""What carries frames between an owner and one worker."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from simia_async.errors import ChildFailed


class WorkerLost(ChildFailed):
    """A worker has ended, or can be reached no more; the text says which and how."""


class Link(Protocol):
    """The owner's end. Messages arrive whole and in order, or the worker is lost."""

    can_outlive: bool
    """Whether a worker that is taken for lost may still be alive somewhere, and ask endpoints."""

    async def send(self, body: bytes) -> None:
        """Hand a message over; waits while the worker has too many. Raises `WorkerLost`."""

    async def receive(self) -> list[bytes]:
        """What came next, one message or several. Raises `WorkerLost`."""


class Connect(Protocol):
    """Starts a worker, and ends it on exit."""

    def __call__(self, name: str) -> AbstractAsyncContextManager[Link]:
        """A link to a new worker of this name."""
