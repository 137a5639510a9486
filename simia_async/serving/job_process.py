"""The process of one job: `python -m simia_async.serving.job_process DIRECTORY`.

It does the run as a script would, through the public API, and leaves an outcome. It outlives the
server, which finds it again by its lock.
"""

import sys
import time
from functools import partial
from pathlib import Path

from simia_async.errors import (
    ChildFailed,
    EndpointUnavailable,
    RateLimited,
    RunStopped,
    SimiaError,
    UsageError,
    single_error,
)
from simia_async.serving.job_kinds import do
from simia_async.serving.jobs import Job, JobDirectory, JobState, Outcome
from simia_async.speed import run_fast
from simia_async.supervision.signals import Signalled, until_signalled

EXIT_CUT_OFF = 3
"""What the run needs failed, such as a child or a network: another process may go on with it."""


def main() -> None:
    """Do the job in the directory that the command line names."""
    directory = JobDirectory(Path(sys.argv[1]))
    try:
        with directory.process_lock():
            outcome = _outcome(directory, directory.read())
            if outcome is None:
                sys.exit(EXIT_CUT_OFF)
            directory.leave(outcome)
    except UsageError as error:
        sys.exit(str(error))


def _outcome(directory: JobDirectory, job: Job) -> Outcome | None:
    """How the run ended; None where it was cut off and may go on."""
    try:
        with single_error():
            run_fast(until_signalled, partial(do, job, directory, _say))
    except RunStopped:
        return Outcome(JobState.STOPPED, was_asked=True)
    except Signalled:
        return Outcome(JobState.STOPPED)
    except (ChildFailed, EndpointUnavailable, RateLimited) as error:
        _say(f"cut off: {error}")
        return None
    except SimiaError as error:
        _say(f"failed: {error}")
        return Outcome(JobState.FAILED, str(error))
    return Outcome(JobState.DONE)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}", flush=True)


if __name__ == "__main__":
    main()
