"""Measures that a run does not hold yet: one that goes on must not write down the same twice."""

from collections.abc import Iterable
from pathlib import Path

from simia_store import MetricRecord, Reader


def unwritten_metrics(path: Path, metrics: Iterable[MetricRecord]) -> list[MetricRecord]:
    """Those of the `metrics` that are not the last of their name and step in the run at `path`."""
    with Reader(path) as reader:
        return [each for each in metrics if not _is_last(reader, each)]


def _is_last(reader: Reader, metric: MetricRecord) -> bool:
    of_step = [each for each in reader.metrics(metric.name) if each.step == metric.step]
    return bool(of_step) and of_step[-1].value == metric.value
