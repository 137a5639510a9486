"""Rollouts as lines: the columns of a list of them, and one in words."""

from rich.style import Style
from simia_store import TrajectoryStatus

from simia_tui.palette import Palette
from simia_tui.rollout_source import RolloutRow
from simia_tui.text import clean_line
from simia_tui.widgets.rows import Column


def in_words(row: RolloutRow) -> str:
    """A rollout, and what became of it, in a line."""
    record = row.record
    parts = [
        f"rollout {record.id}", record.task_id, record.status,
        f"group {record.group_id}" if record.group_id is not None else "",
        record.stop_reason or "", f"at {record.boundary}" if record.boundary else "",
        record.rejected_by or "", record.reason or "",
    ]  # fmt: skip
    return clean_line(" · ".join(part for part in parts if part), 500)


def _environment(row: RolloutRow, palette: Palette) -> tuple[str, Style]:
    return row.record.environment, palette.dim


def _outcome(row: RolloutRow, palette: Palette) -> tuple[str, Style]:
    record = row.record
    text = record.rejected_by or record.stop_reason or record.boundary or ""
    failed = record.status in (TrajectoryStatus.UNSCORED, TrajectoryStatus.REJECTED)
    return text, palette.bad if failed else palette.text


def _reward(row: RolloutRow, palette: Palette) -> tuple[str, Style]:
    reward = row.record.reward
    return "–" if reward is None else f"{reward:.2f}", palette.reward(reward)


def _took(row: RolloutRow, palette: Palette) -> tuple[str, Style]:
    record = row.record
    if record.finished_at is None:
        return "…", palette.dim
    return f"{record.finished_at - record.created_at:.1f}", palette.dim


def _group(row: RolloutRow, palette: Palette) -> tuple[str, Style]:
    group = row.record.group_id
    return "–" if group is None else str(group), palette.dim


def _version(row: RolloutRow, palette: Palette) -> tuple[str, Style]:
    version = row.record.policy_version
    return "–" if version is None else str(version), palette.dim


COLUMNS: list[Column[RolloutRow]] = [
    Column("id", 9, lambda row, palette: (str(row.id), palette.dim), right=True),
    Column("reward", 6, _reward, right=True),
    Column("status", 8, lambda row, palette: (row.record.status, palette.text)),
    Column("outcome", 15, _outcome),
    Column("turns", 5, lambda row, palette: (str(row.turns), palette.text), right=True),
    Column("group", 6, _group, right=True, from_width=100),
    Column("version", 7, _version, right=True, from_width=100),
    Column("s", 7, _took, right=True, from_width=110),
    Column("environment", 14, _environment, from_width=120),
    Column("task", 0, lambda row, palette: (row.record.task_id, palette.text)),
]
