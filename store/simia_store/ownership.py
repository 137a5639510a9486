"""One database has one owner. An OS lock says so, and dies with the process that holds it."""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from simia_store.errors import StoreError

_PID = re.compile(rb"(\d+\n)?")


class Ownership:
    """An exclusive `flock` on `<database>.lock`, as long as the context lasts.

    Raises `StoreError` if another process owns it.
    """

    def __init__(self, database: Path) -> None:
        if database.is_dir():
            raise StoreError(f"{database}: is a directory; expected the path of a database")
        # By whatever link it was found, a database has one lock, as it has one log.
        real = database.resolve()
        path = real.with_name(real.name + ".lock")
        fd = _locked(database, path)
        # Whoever deleted the run meanwhile took its lock along, and ours would keep nobody out.
        while not _is_at(fd, path):
            os.close(fd)
            fd = _locked(database, path)
        if not _PID.fullmatch(os.read(fd, 32)):
            os.close(fd)
            raise StoreError(
                f"{database}: {path.name} beside it is a file of something else, and a run here "
                "would overwrite it; name another database"
            )
        # The lock holds without a name in it: on a full disk a run can still be deleted.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def _locked(database: Path, path: Path) -> int:
    """The lock file, open and locked."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{database}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise StoreError(
            f"{database}: another process (pid {owner}) owns this run; wait for it to end "
            "or name another database"
        ) from None
    except OSError as error:
        os.close(fd)
        raise StoreError(f"{database}: cannot be locked: {error.strerror}") from error
    return fd


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
