"""The record of a run: one SQLite database, one owner that writes, any number of readers."""

from simia_store.errors import SimiaError, StoreError
from simia_store.printable import printable
from simia_store.reader import Reader
from simia_store.records import (
    AdapterRecord,
    CallRecord,
    EnvironmentRecord,
    EventRecord,
    GroupRecord,
    MetricRecord,
    RunRecord,
    RunStatus,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
)
from simia_store.writer import Store, open_store

__all__ = [
    "AdapterRecord",
    "CallRecord",
    "EnvironmentRecord",
    "EventRecord",
    "GroupRecord",
    "MetricRecord",
    "Reader",
    "RunRecord",
    "RunStatus",
    "SimiaError",
    "Store",
    "StoreError",
    "TrajectoryRecord",
    "TrajectoryStatus",
    "TurnRecord",
    "open_store",
    "printable",
]
