"""What of a run is sent as a file."""

import os
import tempfile
from pathlib import Path

import anyio
from simia_store.replication import copy_run

from simia_async.serving.jobs import JobDirectory

_LOG_BYTES = 2**20


def copied(directory: JobDirectory) -> anyio.AsyncFile[bytes]:
    """The run's database as it is now, whole, in a file without a name. Raises `StoreError`."""
    fd, name = tempfile.mkstemp(dir=directory.path, prefix=".copy-")
    try:
        copy_run(directory.database, Path(name))
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
