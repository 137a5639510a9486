"""One line a run: what a database says of itself at a glance."""

import time
from datetime import datetime
from pathlib import Path

import msgspec
from simia_store import (
    Reader,
    Standing,
    StoreError,
    TrajectoryStatus,
    printable,
    standing,
    usage_by_role,
)

from simia_async.cli.output import stdout

_GOOD = (TrajectoryStatus.KEPT, TrajectoryStatus.SCORED)
_SQLITE = b"SQLite format 3\0"


_HEADINGS = ("run", "kind", "status", "good", "USD", "size", "started", "took")
_NUMBERS = ("good", "USD", "size", "took")


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """What `simia runs list` shows of one database."""

    path: Path
    name: str
    """Its path in the directory that is listed."""
    bytes: int
    kind: str | None = None
    status: str
    reason: str | None = None
    """Why it failed or stopped, or why it cannot be read and what to do."""
    good: int = 0
    """Trajectories kept or scored."""
    trajectories: int = 0
    cost_usd: float | None = None
    started_at: str | None = None
    """ISO 8601, local time."""
    seconds: float | None = None
    """From the start to the end; to now, or to the last sign of life."""


def run_lines(directory: Path) -> list[RunLine]:
    """The databases in a directory and in its directories, oldest first, and then what is not a
    run. Raises `StoreError` if it cannot be listed.
    """
    try:
        entries = list(directory.iterdir())
        # `simia demo` keeps the runs of its stages in a directory of their own.
        entries += [file for entry in entries if entry.is_dir() for file in entry.iterdir()]
    except OSError as error:
        raise StoreError(f"{directory}: cannot be listed: {error.strerror}") from error
    files = sorted(file for file in entries if _may_be_run(file))
    lines = [run_line(file, str(file.relative_to(directory))) for file in files]
    return sorted(lines, key=lambda line: (line.started_at is None, line.started_at or ""))


def _may_be_run(file: Path) -> bool:
    """Whether it calls itself a database, or is one."""
    if not file.is_file() or file.name.endswith(("-wal", "-shm")):
        return False
    if file.suffix == ".db":
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def run_line(path: Path, name: str) -> RunLine:
    """One run, or why there is none at `path`."""
    line = RunLine(path=path, name=name, bytes=_size(path), status="unreadable")
    try:
        return _read(line)
    except StoreError as error:
        return msgspec.structs.replace(line, reason=str(error).removeprefix(f"{path}: "))


def _read(line: RunLine) -> RunLine:
    with Reader(line.path) as reader:
        run, sessions = reader.run(), reader.sessions()
        stands = standing(run, sessions)
        outcomes = reader.outcomes()
        costs = [role.cost_usd for role in usage_by_role(reader.usage())]
    if run is None:
        return msgspec.structs.replace(line, status=stands)
    end: float | None = run.finished_at or time.time()
    if stands == Standing.CUT_OFF:
        end = sessions[-1].beat_at if sessions else None
    known = [cost for cost in costs if cost is not None]
    return msgspec.structs.replace(
        line,
        kind=run.kind,
        status=stands,
        reason=run.reason,
        good=sum(outcome.count for outcome in outcomes if outcome.status in _GOOD),
        trajectories=sum(outcome.count for outcome in outcomes),
        cost_usd=sum(known) if known else None,
        started_at=local_time(run.started_at),
        seconds=None if end is None else end - run.started_at,
    )


def local_time(seconds: float) -> str:
    """A Unix time as ISO 8601 in local time."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _size(path: Path) -> int:
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def print_lines(lines: list[RunLine]) -> None:
    """Print them below each other; why one failed or cannot be read stands last."""
    cells = [_HEADINGS, *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, reason in zip(cells, ["", *(line.reason or "" for line in lines)], strict=True):
        padded = (
            cell.rjust(width) if heading in _NUMBERS else cell.ljust(width)
            for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
        )
        line = "  ".join((*padded, printable(reason).replace("\n", " "))).rstrip()
        stdout.print(line, markup=False, highlight=False, soft_wrap=True)


def _cells(line: RunLine) -> tuple[str, ...]:
    return tuple(
        printable(cell).replace("\n", " ")
        for cell in (
            line.name,
            line.kind or "",
            line.status,
            f"{line.good}/{line.trajectories}" if line.trajectories else "",
            "" if line.cost_usd is None else f"{line.cost_usd:.2f}",
            size_text(line.bytes),
            # The zone is that of the terminal.
            (line.started_at or "")[:19],
            "" if line.seconds is None else _duration(line.seconds),
        )
    )


def size_text(count: int) -> str:
    """A number of bytes for people."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
