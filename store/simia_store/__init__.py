"""The record of a run: one SQLite database, one owner that writes, any number of readers."""

from simia_store.commands import STOP, send_command, wait_for_answer
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
    PromptRecord,
    RunRecord,
    RunStatus,
    SeedRecord,
    SeedStatus,
    SessionRecord,
    StatisticsRecord,
    TaskRecord,
    TaskStatus,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    UsageCount,
)
from simia_store.standing import Standing, has_owner, is_alive, standing
from simia_store.usage import RoleUsage, usage_by_role
from simia_store.writer import Store, WriterStatistics, open_store

__all__ = [
    "STOP",
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
    "PromptRecord",
    "Reader",
    "RoleUsage",
    "RunRecord",
    "RunStatus",
    "SeedRecord",
    "SeedStatus",
    "SessionRecord",
    "SimiaError",
    "Standing",
    "StatisticsRecord",
    "Store",
    "StoreError",
    "TaskRecord",
    "TaskStatus",
    "TrajectoryRecord",
    "TrajectoryStatus",
    "TurnRecord",
    "UsageCount",
    "WriterStatistics",
    "has_owner",
    "is_alive",
    "open_store",
    "printable",
    "send_command",
    "standing",
    "usage_by_role",
    "wait_for_answer",
]
