"""What of a run is sent as a file."""

import os
import sqlite3
import tempfile
from contextlib import closing

import anyio
from simia_store import Reader

from simia_async.serving.jobs import JobDirectory

_LOG_BYTES = 2**20


def copied(directory: JobDirectory) -> anyio.AsyncFile[bytes]:
    """The run's database as it is now, whole, in a file without a name. Raises `StoreError`."""
    with Reader(directory.database):
        pass
    fd, name = tempfile.mkstemp(dir=directory.path, prefix=".copy-")
    try:
        with (
            closing(sqlite3.connect(f"file:{directory.database}?mode=ro", uri=True)) as database,
            closing(sqlite3.connect(name)) as copy,
        ):
            database.backup(copy)
        return anyio.wrap_file(open(fd, "rb"))
    finally:
        os.unlink(name)


def end_of_log(directory: JobDirectory) -> bytes:
    """The last that the processes of a run said; empty if nothing."""
    try:
        with directory.log.open("rb") as log:
            log.seek(max(0, directory.log.stat().st_size - _LOG_BYTES))
            return log.read()
    except OSError:
        return b""
