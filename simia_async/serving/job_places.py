"""Directories of jobs that come and go at once, whatever ends this meanwhile."""

import os
import shutil
from pathlib import Path

from simia_async.serving.jobs import Job, JobDirectory
from simia_async.whole_files import sync


def create_job(root: Path, job: Job) -> None:
    """Keep a new job, durably. Raises `OSError` or `UnicodeError`, and then there is none."""
    partial = JobDirectory(root / f".{job.id}.partial")
    partial.path.mkdir(mode=0o700)
    try:
        partial.write(job)
        os.rename(partial.path, root / job.id)
        sync(root)
    except (OSError, UnicodeError):
        shutil.rmtree(partial.path, ignore_errors=True)
        raise


def remove_job(place: Path) -> None:
    """Remove a job with all that it made. Raises `OSError`, and then it is still there."""
    leaving = place.with_name(f".{place.name}.deleted")
    os.rename(place, leaving)
    shutil.rmtree(leaving, ignore_errors=True)


def sweep_jobs(root: Path) -> None:
    """Remove what was not there yet when a server was killed, or on its way out."""
    for path in root.glob(".*"):
        shutil.rmtree(path, ignore_errors=True)
