"""The record of a run: one SQLite database, one owner that writes, any number of readers."""

from typing import TYPE_CHECKING, Any

from simia_store.browsing import Browser, Match
from simia_store.commands import (
    CANCEL,
    CHECKPOINT,
    CONCURRENCY,
    PAUSE,
    REJUDGE,
    RESUME,
    STOP,
    STOP_AFTER_STEP,
    send_command,
    wait_for_answer,
    watch_command,
)
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
    JudgementRecord,
    MetricRecord,
    OutcomeCount,
    PromptRecord,
    RunRecord,
    RunStatus,
    ScoringRecord,
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

if TYPE_CHECKING:
    from simia_store.writer import Store, WriterStatistics, open_store

__all__ = [
    "CANCEL",
    "CHECKPOINT",
    "CONCURRENCY",
    "PAUSE",
    "REJUDGE",
    "RESUME",
    "STOP",
    "STOP_AFTER_STEP",
    "AdapterRecord",
    "Browser",
    "CallRecord",
    "CommandRecord",
    "CommandStatus",
    "EnvironmentRecord",
    "EventRecord",
    "FactRecord",
    "GroupRecord",
    "JudgementRecord",
    "Match",
    "MetricRecord",
    "Order",
    "OutcomeCount",
    "Page",
    "PromptRecord",
    "Reader",
    "RoleUsage",
    "RunRecord",
    "RunStatus",
    "ScoringRecord",
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
    "watch_command",
]

_WRITING = {"Store", "WriterStatistics", "open_store"}


def __getattr__(name: str) -> Any:
    """What writes is slow to import: who only reads starts without it."""
    if name not in _WRITING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from simia_store import writer

    return getattr(writer, name)
