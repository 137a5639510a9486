"""One of the processes of a trainer that was launched: it meets the others, and ends with them."""

import os
import secrets
import socket
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from simia_async.errors import SimiaError
from simia_async.supervision.child import CommandPipe, OwnerPipe
from simia_async.supervision.crew import Crew, end_with_owner, join_crew
from simia_async.supervision.frames import Joined, ToChild
from simia_async.supervision.last_words import tell_last_words
from simia_async.training.processes import Processes, join_processes

_HEARSAY_S = 2.0
"""How long a process waits before it tells of its failure: where it is but the consequence of
another's, that one is heard of meanwhile, and ends it.
"""

PassOn = Callable[[ToChild], None]
"""Has the other processes do a command too."""


def enlist() -> tuple[Processes, CommandPipe, PassOn]:
    """Meet the others; the first gets the owner's pipe, the others one from the first."""
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)):
        sys.exit("a trainer that ended goes on with its run, not by being started again")
    rank = int(os.environ.get("RANK", 0))
    sys.excepthook = _Failing(rank)
    if rank == 0:
        return _enlist_first()
    end_with_owner()
    try:
        processes = join_processes()
    except SimiaError:
        sys.exit(1)  # the first one says why
    port, pid, key = processes.told("").split()
    pipe = join_crew(int(port), key.encode(), rank, int(pid))
    return processes, pipe, lambda _: None


def fail_together(processes: Processes, pipe: CommandPipe, error: SimiaError) -> NoReturn:
    """Tell the owner, of whichever process; where all have the same to tell, the first does."""
    if not processes.is_first:
        time.sleep(_HEARSAY_S)
    pipe.fail(error)
    # Not sys.exit, which would wait for sums that nobody adds to any more.
    os._exit(0)


def _enlist_first() -> tuple[Processes, CommandPipe, PassOn]:
    pipe = OwnerPipe()
    pipe.begin()
    try:
        processes = join_processes()
    except SimiaError as error:
        pipe.fail(error)
        sys.exit(1)
    key = secrets.token_hex()
    listener = socket.create_server(("127.0.0.1", 0), backlog=processes.count)
    processes.told(f"{listener.getsockname()[1]} {os.getpid()} {key}")
    crew = Crew(listener, key.encode(), processes.count - 1, pipe)
    pipe.send(Joined(processes.count))
    return processes, pipe, crew.pass_on


class _Failing:
    """What is done about an exception that nobody expected."""

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        # torch.distributed puts something else into sys.stderr's place while a hook is at work.
        traceback.print_exception(kind, error, trace, file=sys.__stderr__)
        time.sleep(_HEARSAY_S)
        tell_last_words(self._rank, os.getpid(), f"failed: {kind.__name__}: {error}")
        os._exit(1)
