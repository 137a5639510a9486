"""What of a run is sent as a file."""

import os
import tempfile
from pathlib import Path

import anyio
from simia_store.replication import copy_run

from simia_async.serving.jobs import JobDirectory


def copied(directory: JobDirectory) -> anyio.AsyncFile[bytes]:
    """The run's database as it is now, whole, in a file without a name. Raises `StoreError`."""
    fd, name = tempfile.mkstemp(dir=directory.path, prefix=".copy-")
    try:
        copy_run(directory.database, Path(name))
        return anyio.wrap_file(open(fd, "rb"))
    finally:
        os.unlink(name)
