"""What the server and its runs are doing, for Prometheus (text format 0.0.4, prometheus_client)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from simia_store import Reader, StatisticsRecord, StoreError

from simia_async.serving.jobs import Job, JobDirectory, JobState

_OF_ENDPOINTS = {
    "in_flight": "Calls in flight.",
    "waiting": "Calls that wait for their turn.",
    "requests_left": "Requests that the endpoint still admits this minute.",
    "tokens_left": "Tokens that the endpoint still admits this minute.",
    "window": "Calls that may be in flight at once.",
}
_OF_RUNS = {
    "rollout/reward_mean": ("simia_reward_mean", "Mean reward of the last step."),
    "rollout/waited_seconds": ("simia_trainer_waited_seconds", "Its trainer's wait for rollouts."),
    "train/loss": ("simia_loss", "Loss of the last step."),
    "train/train_seconds": ("simia_train_step_seconds", "Duration of the last training step."),
    "train/tokens_per_second": ("simia_train_tokens_per_second", "Tokens learnt from a second."),
}


def exposition(jobs: Iterable[Job], root: Path, loop_lag_s: float) -> bytes:
    """All metrics, of the server and of each run that is not over."""
    registry = CollectorRegistry()
    registry.register(_Runs(list(jobs), root, loop_lag_s))
    return generate_latest(registry)


class _Runs(Collector):
    def __init__(self, jobs: list[Job], root: Path, loop_lag_s: float) -> None:
        self._jobs = jobs
        self._root = root
        self._loop_lag_s = loop_lag_s

    def collect(self) -> Iterator[Metric]:
        """The metrics by name, each with its runs."""
        counts = Counter(job.state for job in self._jobs)
        states = GaugeMetricFamily("simia_runs", "Runs by state.", labels=["state"])
        for state in JobState:
            states.add_metric([state.value], counts[state])
        yield states
        yield GaugeMetricFamily(
            "simia_loop_lag_seconds", "Lag of the server's event loop.", self._loop_lag_s
        )
        families: dict[str, Metric] = {}
        for job in self._jobs:
            if not job.state.is_over:
                _measure(job, JobDirectory(self._root / job.id).database, families)
        yield from families.values()


def _measure(job: Job, database: Path, families: dict[str, Metric]) -> None:
    try:
        with Reader(database) as reader:
            usage, outcomes, statistics = reader.usage(), reader.outcomes(), reader.statistics()
            last = {name: reader.metrics(name)[-1:] for name in _OF_RUNS}
    except StoreError:
        return  # It has not begun.
    for call in usage:
        of_call = {name: getattr(call, name) for name in ("role", "endpoint", "model", "status")}
        labels = {"run": job.id} | of_call
        _count(families, "simia_calls", "Attempts of calls.", call.calls, labels)
        _count(families, "simia_tokens_in", "Tokens asked with.", call.tokens_in, labels)
        _count(families, "simia_tokens_out", "Tokens answered.", call.tokens_out, labels)
        _count(families, "simia_cost_usd", "Cost of calls with a price.", call.cost_usd, labels)
    for outcome in outcomes:
        labels = {"run": job.id, "status": outcome.status, "cause": outcome.cause}
        _count(families, "simia_trajectories", "Trajectories.", outcome.count, labels)
    for said in statistics:
        _measure_source(job, said, families)
    for name, metrics in last.items():
        for metric in metrics:
            known, help_ = _OF_RUNS[name]
            _gauge(families, known, help_, metric.value, {"run": job.id})


def _measure_source(job: Job, said: StatisticsRecord, families: dict[str, Metric]) -> None:
    labels, sample = {"run": job.id, "source": said.source}, said.sample
    if said.source == "scheduler":
        _gauge(families, "simia_conversations", "Under way.", sample.get("active"), {"run": job.id})
        return
    for field, help_ in _OF_ENDPOINTS.items():
        if "breaker" in sample:
            _gauge(families, f"simia_endpoint_{field}", help_, sample.get(field), labels)
    if "rate_limited" in sample:
        _count(families, "simia_rate_limited", "429s.", sample["rate_limited"], labels)


def _gauge(
    families: dict[str, Metric], name: str, help_: str, value: Any, labels: dict[str, str]
) -> None:
    if isinstance(value, int | float):
        family = families.setdefault(name, GaugeMetricFamily(name, help_, labels=list(labels)))
        family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]


def _count(
    families: dict[str, Metric], name: str, help_: str, value: float, labels: dict[str, str]
) -> None:
    family = families.setdefault(name, CounterMetricFamily(name, help_, labels=list(labels)))
    family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]
