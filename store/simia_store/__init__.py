"""The record of a run: one SQLite database, one owner that writes, any number of readers."""

from simia_store.commands import send_command
from simia_store.errors import SimiaError, StoreError
from simia_store.pages import Order, Page
from simia_store.printable import printable
from simia_store.reader import Reader
from simia_store.records import (
    AdapterRecord,
    CallRecord,
    CommandRecord,
    CommandStatus,
    EnvironmentRecord,
    EventRecord,
    FactRecord,
    GroupRecord,
    MetricRecord,
    OutcomeCount,
    RunRecord,
    RunStatus,
    SessionRecord,
    StatisticsRecord,
    TaskRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    UsageCount,
)
from simia_store.usage import RoleUsage, usage_by_role
from simia_store.writer import Store, WriterStatistics, open_store

__all__ = [
    "AdapterRecord",
    "CallRecord",
    "CommandRecord",
    "CommandStatus",
    "EnvironmentRecord",
    "EventRecord",
    "FactRecord",
    "GroupRecord",
    "MetricRecord",
    "Order",
    "OutcomeCount",
    "Page",
    "Reader",
    "RoleUsage",
    "RunRecord",
    "RunStatus",
    "SessionRecord",
    "SimiaError",
    "StatisticsRecord",
    "Store",
    "StoreError",
    "TaskRecord",
    "TrajectoryRecord",
    "TrajectoryStatus",
    "TurnRecord",
    "UsageCount",
    "WriterStatistics",
    "open_store",
    "printable",
    "send_command",
    "usage_by_role",
]
