"""How a run stands: what its record says of itself, and whether its owner still writes."""

import time
from collections.abc import Sequence
from enum import StrEnum

from simia_store.records import RunRecord, RunStatus, SessionRecord

SILENT_S = 10.0
"""An owner that has not said for so long that it lives is taken for dead."""


class Standing(StrEnum):
    """Where a run stands, seen from outside."""

    NOT_BEGUN = "not begun"
    RUNNING = "running"
    CUT_OFF = "cut off"
    """Its record says that it runs, and nobody writes it: its owner was killed."""
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


def standing(run: RunRecord | None, sessions: Sequence[SessionRecord]) -> Standing:
    """How a run stands now."""
    if run is None:
        return Standing.NOT_BEGUN
    if run.status == RunStatus.RUNNING and not has_owner(sessions):
        return Standing.CUT_OFF
    return Standing(run.status)


def has_owner(sessions: Sequence[SessionRecord]) -> bool:
    """Whether somebody owns the run, as far as its heartbeat tells."""
    return bool(sessions) and is_alive(sessions[-1])


def is_alive(session: SessionRecord) -> bool:
    """Whether the session goes on, as far as its heartbeat tells."""
    return session.ended_at is None and time.time() - session.beat_at < SILENT_S
