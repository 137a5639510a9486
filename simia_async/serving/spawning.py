"""The processes of jobs: started, asked to end, and what they said last."""

import os
import subprocess
import sys
from pathlib import Path

from simia_store import STOP, Reader, has_owner, send_command

from simia_async.errors import StoreError
from simia_async.serving.jobs import JobDirectory

_LAST_WORDS = 2000
"""Bytes of a log in which the reason of a death is looked for."""


def spawn(directory: JobDirectory) -> subprocess.Popen[bytes]:
    """A process that does the job. It outlives the server."""
    directory.forget_outcome()
    with directory.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "simia_async.serving.job_process", str(directory.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def ask_to_end(database: Path, asked: int | None) -> int | None:
    """Leave word for the owner of a run to end it, unless its session is the one that was `asked`.
    The session that has been asked last; another may have begun since it was killed.
    """
    try:
        with Reader(database) as reader:
            sessions = reader.sessions()
        if not has_owner(sessions) or sessions[-1].id == asked:
            return asked
        send_command(database, STOP)
    except StoreError:
        return asked
    return sessions[-1].id


def last_line(directory: JobDirectory) -> str:
    """The last that processes of a job said."""
    lines = directory.end_of_log(_LAST_WORDS).decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
