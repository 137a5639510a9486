"""The feed: a run's database, polled, as one snapshot that screens draw."""

import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
from simia_store import (
    Browser,
    CommandRecord,
    OutcomeCount,
    RoleUsage,
    RunRecord,
    SessionRecord,
    Standing,
    TrajectoryStatus,
    UsageCount,
    standing,
    usage_by_role,
)

_RATE_OVER_S = 10.0
"""Rates are told over the last so many seconds."""
_BEAT_S = 1.0
"""How often a live run is looked at that writes nothing: its owner may be dead."""

Points = list[tuple[int, float]]


class Rates(msgspec.Struct, frozen=True):
    """What goes through, a second."""

    calls: float
    tokens: float
    conversations: float


class Snapshot(msgspec.Struct, frozen=True):
    """A run as it stands. Everything here is read from the store."""

    path: Path
    run: RunRecord | None
    standing: Standing
    session: SessionRecord | None
    """The last stretch of time in which a process owned the run."""
    outcomes: list[OutcomeCount]
    usage_counts: list[UsageCount]
    series: dict[str, Points]
    """Step and value of each metric, in order of steps."""
    adapters: int
    version: int | None
    """Of the newest adapter."""
    statistics: dict[str, dict[str, Any]]
    """What each governor, the scheduler, the writer and the spending said of themselves last."""
    command: CommandRecord | None
    """The last that somebody left for the owner."""
    rates: Rates
    now: float

    @property
    def usage(self) -> list[RoleUsage]:
        """Calls by role."""
        return usage_by_role(self.usage_counts)

    @property
    def is_live(self) -> bool:
        """Whether somebody writes the run."""
        return self.standing == Standing.RUNNING

    @property
    def is_paused(self) -> bool:
        """Whether its conversations are held."""
        return self.is_live and bool(self.statistics.get("scheduler", {}).get("paused"))

    @property
    def age_s(self) -> float:
        """Seconds from the run's start to its end; to its last sign of life if it was cut off."""
        if self.run is None:
            return 0.0
        return max(0.0, self._end - self.run.started_at)

    @property
    def silent_s(self) -> float:
        """Seconds since the owner last said that it lives."""
        return max(0.0, self.now - self.session.beat_at) if self.session else 0.0

    @property
    def _end(self) -> float:
        assert self.run is not None
        if self.run.finished_at:
            return self.run.finished_at
        return self.now if self.is_live or self.session is None else self.session.beat_at

    def last(self, metric: str) -> float | None:
        """The last value of a metric."""
        points = self.series.get(metric)
        return points[-1][1] if points else None

    def count(self, *statuses: TrajectoryStatus) -> int:
        """How many trajectories stand so."""
        return sum(outcome.count for outcome in self.outcomes if outcome.status in statuses)

    @property
    def in_flight(self) -> int:
        """Conversations that have begun and not ended."""
        return self.count(TrajectoryStatus.RUNNING)

    @property
    def progress(self) -> tuple[float, float, str] | None:
        """How much of the run is done, of how much, and of what; None where that is not known."""
        config = self.run.config if self.run else {}
        kind = self.run.kind if self.run else ""
        if kind == "rl" and "steps" in config:
            done = max((step for step, _ in self.series.get("train/loss", [])), default=0)
            return done, config["steps"], "steps"
        if kind == "generate" and "n" in config:
            return self.count(TrajectoryStatus.KEPT), config["n"], "kept"
        if (share := self.last("train/progress") or self.last("progress")) is not None:
            return share * 100, 100, "%"
        return None

    @property
    def eta_s(self) -> float | None:
        """Seconds to its end, if it goes on as it went."""
        if self.progress is None or not self.is_live:
            return None
        done, total, _ = self.progress
        return self.age_s / done * max(0.0, total - done) if done else None


class Feed:
    """Polls one run. Its methods block: call them off the event loop. Raises `StoreError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._browser = Browser(path)
        self._seen: int | None = None
        self._metric_cursor = 0
        self._values: dict[str, dict[int, float]] = {}
        self._series: dict[str, Points] = {}
        self._past: deque[tuple[float, int, int, int]] = deque()
        self._last: Snapshot | None = None

    def poll(self) -> Snapshot | None:
        """The run as it stands; None if there is nothing new to be seen."""
        now = time.time()
        version = self._browser.data_version()
        if version == self._seen and self._last is not None:
            return self._aged(self._last, now)
        self._seen = version
        self._last = self._read(now)
        return self._last

    def close(self) -> None:
        """Close the database."""
        self._browser.close()

    def _aged(self, last: Snapshot, now: float) -> Snapshot | None:
        """The same snapshot, later: what is silent for long is dead. Of a run that ended, none."""
        if not last.is_live or now - last.now < _BEAT_S:
            return None
        session = [last.session] if last.session else []
        self._last = msgspec.structs.replace(last, now=now, standing=standing(last.run, session))
        return self._last

    def _read(self, now: float) -> Snapshot:
        browser = self._browser
        self._read_metrics()
        run, sessions = browser.run(), browser.sessions()
        outcomes, usage = browser.outcomes(), browser.usage()
        adapters, newest = browser.adapter_count()
        commands = browser.commands()
        return Snapshot(
            path=browser.path,
            run=run,
            standing=standing(run, sessions),
            session=sessions[-1] if sessions else None,
            outcomes=outcomes,
            usage_counts=usage,
            series=dict(self._series),
            adapters=adapters,
            version=newest,
            statistics={said.source: said.sample for said in browser.statistics()},
            command=commands[-1] if commands else None,
            rates=self._rates(run, outcomes, usage, now),
            now=now,
        )

    def _read_metrics(self) -> None:
        self._metric_cursor, news = self._browser.metrics_after(self._metric_cursor)
        for metric in news:
            self._values.setdefault(metric.name, {})[metric.step] = metric.value
        for name in {metric.name for metric in news}:
            self._series[name] = sorted(self._values[name].items())

    def _rates(
        self,
        run: RunRecord | None,
        outcomes: list[OutcomeCount],
        usage: list[UsageCount],
        now: float,
    ) -> Rates:
        """Over the last seconds while it goes on; over the whole run when that has ended."""
        running = TrajectoryStatus.RUNNING
        present = (
            now,
            sum(count.calls for count in usage),
            sum(count.tokens_in + count.tokens_out for count in usage),
            sum(outcome.count for outcome in outcomes if outcome.status != running),
        )
        if run is not None and run.finished_at is not None:
            first = (run.started_at, 0, 0, 0)
            present = (run.finished_at, *present[1:])
        else:
            self._past.append(present)
            while now - self._past[0][0] > _RATE_OVER_S and len(self._past) > 1:
                self._past.popleft()
            first = self._past[0]
        seconds = present[0] - first[0]
        if seconds <= 0:
            return Rates(0, 0, 0)
        calls, tokens, ended = (
            (b - a) / seconds for a, b in zip(first[1:], present[1:], strict=True)
        )
        return Rates(calls, tokens, ended)
