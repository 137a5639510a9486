"""Why a launched child ended, from what its processes and their launcher said last."""

import contextlib
import os
import re
from collections.abc import Sequence

_STANDARD_ERROR = 2
_MARK = "simia: trainer process "
_TOLD = re.compile(re.escape(_MARK) + r"(?P<rank>\d+) \(pid (?P<pid>\d+)\) (?P<how>.*)")
# What torchrun tells of processes that end badly, in its log and its table of them.
_RANK = re.compile(r"rank\s*: (\d+) \(local_rank: \d+\)")
_EXIT_CODE = re.compile(r"exitcode\s*: (-?\d+) \(pid: (\d+)\)")
_SIGNAL = re.compile(r"Signal \d+ \((SIG\w+)\) received by PID (\d+)")
_OF_TABLE = re.compile(r"\s*(time|host|rank|exitcode|error_file|traceback)\s+:")
_ERROR = re.compile(r"(?!.*ChildFailedError)(\w+\.)*\w*(Error|Exception|error): .*")
_GONE = "ended without a word"


def tell_last_words(rank: int, pid: int, how: str = _GONE) -> None:
    """Say on standard error, in a form that is found again, that a process ends."""
    line = f"{_MARK}{rank} (pid {pid}) {' '.join(how.split())}\n"
    # In one piece, since all of them share it; nobody may be there any more to read it.
    with contextlib.suppress(OSError):
        os.write(_STANDARD_ERROR, line.encode(errors="replace"))


def cause_of_death(lines: Sequence[str]) -> str | None:
    """`trainer process 1 (pid 5) was killed by SIGKILL`, of the one that ended first; None if
    nothing tells.
    """
    told = next((found for line in lines if (found := _TOLD.search(line))), None)
    if told is not None:
        rank, pid, how = told["rank"], told["pid"], told["how"]
        if how == _GONE:
            how = _end_of(pid, lines) or how
        return f"trainer process {rank} (pid {pid}) {how}"
    ranks = [found[1] for line in lines if (found := _RANK.search(line))]
    pids = [found[2] for line in lines if (found := _EXIT_CODE.search(line))]
    ends = [
        f"trainer process {rank} (pid {pid}) {_end_of(pid, lines)}"
        for rank, pid in zip(ranks, pids, strict=False)
    ]
    # What the launcher itself ends the others with.
    own = [end for end in ends if not end.endswith(" SIGTERM")]
    return next(iter(own or ends), None)


def last_error(lines: Sequence[str]) -> str:
    """The line that says most about what went wrong."""
    errors = [line for line in lines if _ERROR.match(line.strip())]
    said = [line for line in lines if line.strip(" =-") and not _OF_TABLE.match(line)]
    last = (errors or said or ["it said nothing"])[-1]
    return last.strip()


def _end_of(pid: str, lines: Sequence[str]) -> str | None:
    for line in lines:
        if (signalled := _SIGNAL.search(line)) and signalled[2] == pid:
            return f"was killed by {signalled[1]}"
    for line in lines:
        if (ended := _EXIT_CODE.search(line)) and ended[2] == pid:
            return f"exited with {ended[1]}: {last_error(lines)}"
    return None
