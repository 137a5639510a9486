"""What the meter of fidelity found, from the measurements that are stored."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from simia_store import MetricRecord, Reader

from simia_async.clients import SpendingStatistics
from simia_async.meters.fidelity import Fidelity, FidelityReport, report
from simia_async.meters.figures import Figure
from simia_async.meters.observations import Measured
from simia_async.meters.steps import Step
from simia_async.meters.tool_kinds import ToolKind
from simia_async.runs.meter_plan import new_metrics, reason_alone

MEASURED = "measured"
"""Key of a call's measurement in the detail of its trajectory."""

BY_CODE = "by_code"
"""Key that says whether code answered, as in rollouts."""


class FidelityResult(msgspec.Struct, frozen=True):
    """How true the simulator is. Measurements stand in the database at `run`."""

    run: Path
    wanted: int
    """Calls to be measured."""
    measured: int
    by_code: int
    """Of them, answered by code, as in rollouts."""
    conversations: int
    """That they are of."""
    report: FidelityReport
    unusable: Counter[str]
    """Why nothing came that could be used, and how often."""
    failed: int
    """In this session, because the endpoint failed; they are asked when it is started again."""
    budget_spent: bool
    """Whether it ended because one more call would not fit the budget."""
    spending: SpendingStatistics


def read_result(
    path: Path,
    steps: Sequence[Step],
    kinds: Mapping[str, ToolKind],
    *,
    failed: int,
    budget_spent: bool,
    spending: SpendingStatistics,
) -> tuple[FidelityResult, list[MetricRecord]]:
    """All figures, and those of them that the run does not hold yet as metrics."""
    scored: list[tuple[Step, Measured]] = []
    unusable: Counter[str] = Counter()
    by_code = 0
    with Reader(path) as reader:
        stored = {each.id: each for each in reader.trajectories()}
        for step in steps:
            record = stored.get(step.number)
            if record is None or MEASURED not in record.detail:
                continue
            scored.append((step, msgspec.convert(record.detail[MEASURED], Measured)))
            by_code += bool(record.detail.get(BY_CODE))
            if record.reason:
                unusable[reason_alone(record.reason)] += 1
    found = report(scored, kinds)
    metrics = new_metrics(path, _figures(found))
    result = FidelityResult(
        run=path,
        wanted=len(steps),
        measured=len(scored),
        by_code=by_code,
        conversations=len({step.conversation for step, _ in scored}),
        report=found,
        unusable=unusable,
        failed=failed,
        budget_spent=budget_spent,
        spending=spending,
    )
    return result, metrics


def _figures(found: FidelityReport) -> Iterator[tuple[str, Figure]]:
    parts = {"": found.overall}
    parts |= {f"{kind.replace(' ', '_')}/": part for kind, part in found.by_kind.items()}
    for prefix, part in parts.items():
        for name, figure in figures_of(part):
            yield f"fidelity/{prefix}{name}", figure


def figures_of(part: Fidelity) -> Iterator[tuple[str, Figure]]:
    """Every figure of it, by name."""
    for name in part.__struct_fields__:
        figure = getattr(part, name)
        if isinstance(figure, Figure):
            yield name, figure
