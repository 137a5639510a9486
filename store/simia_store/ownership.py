"""One database has one owner. An OS lock says so, and dies with the process that holds it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from simia_store.errors import StoreError


class Ownership:
    """An exclusive `flock` on `<database>.lock`, as long as the context lasts.

    Raises `StoreError` if another process owns it.
    """

    def __init__(self, database: Path) -> None:
        if database.is_dir():
            raise StoreError(f"{database}: is a directory; expected the path of a database")
        path = database.with_name(database.name + ".lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{database}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._fd, 32).decode().strip() or "unknown"
            os.close(self._fd)
            raise StoreError(
                f"{database}: another process (pid {owner}) owns this run; wait for it to end "
                "or name another database"
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        except OSError as error:  # the disk is full
            os.close(self._fd)
            raise StoreError(f"{database}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)
