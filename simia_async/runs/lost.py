"""Records of work whose answer nobody saw, because the run was cut off."""

import time

import msgspec
from simia_store import CallRecord, TrajectoryRecord, TrajectoryStatus

from simia_async.config import Endpoint
from simia_async.runs.spending import CUT_OFF

CUT_OFF_CAUSE = "cut off"
"""Cause of what will be asked again."""


def cut_off(trajectory: TrajectoryRecord) -> TrajectoryRecord:
    """The record of one whose answer nobody saw."""
    return msgspec.structs.replace(
        trajectory,
        status=TrajectoryStatus.REJECTED,
        boundary="simulator",
        rejected_by=CUT_OFF_CAUSE,
        reason="the run was cut off before its answer was there; it is asked again when that goes "
        "on",
        finished_at=time.time(),
    )


def lost_call(endpoint: Endpoint, role: str, trajectory_id: int | None) -> CallRecord:
    """What stands in the ledger for a call of which it is not known whether it was answered."""
    return CallRecord(
        trajectory_id=trajectory_id,
        role=role,
        endpoint=endpoint.base_url or "",
        model=endpoint.model or "",
        attempt=1,
        status=CUT_OFF,
        latency_s=0.0,
        error="in flight, or about to be, when the run was killed",
    )
