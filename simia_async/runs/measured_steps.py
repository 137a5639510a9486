"""What earlier sessions of an RL run have measured, step by step."""

from collections.abc import Mapping
from pathlib import Path

from simia_store import Reader


def measured_steps(path: Path, stored: Mapping[str, str]) -> list[dict[str, float]]:
    """The measures of each step of the run at `path`, in their order; a step has those that it has.

    `stored` says by which metric each is stored, by the name that it is given here.
    """
    by_step: dict[int, dict[str, float]] = {}
    with Reader(path) as reader:
        for name, metric_name in stored.items():
            for metric in reader.metrics(metric_name):
                by_step.setdefault(metric.step, {})[name] = metric.value
    return [values for _, values in sorted(by_step.items())]
