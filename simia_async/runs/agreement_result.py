"""How far a judge agrees with true rewards, from the judgements that are stored."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from simia_store import MetricRecord, Reader

from simia_async.clients import SpendingStatistics
from simia_async.meters.agreement import Agreement, Pair, agree
from simia_async.meters.figures import Figure, share_of
from simia_async.meters.labels import Labelled
from simia_async.runs.meter_plan import is_settled, new_metrics, reason_alone


class AgreementResult(msgspec.Struct, frozen=True):
    """How far the judge agrees with the truth. Judgements stand in the database at `run`."""

    run: Path
    judge: str
    """The model that judged."""
    wanted: int
    """Conversations to be judged."""
    verdicts: Figure
    """Share of them that a usable verdict came to; the others count nowhere else."""
    agreement: Agreement
    kinds: dict[str, int]
    """How many conversations of each kind there are."""
    unusable: Counter[str]
    """Why no verdict came that could be used, and how often."""
    failed: int
    """In this session, because the endpoint failed; they are asked when it is started again."""
    budget_spent: bool
    """Whether it ended because one more conversation would not fit the budget."""
    spending: SpendingStatistics

    @property
    def answered(self) -> int:
        """Conversations that need not be asked of again."""
        return self.verdicts.n


def read_result(
    path: Path,
    labelled: Sequence[Labelled],
    *,
    threshold: float,
    model: str,
    failed: int,
    budget_spent: bool,
    spending: SpendingStatistics,
) -> tuple[AgreementResult, list[MetricRecord]]:
    """All figures, and those of them that the run does not hold yet as metrics."""
    with Reader(path) as reader:
        stored = {each.id: each for each in reader.trajectories()}
        pairs: list[Pair] = []
        unusable: Counter[str] = Counter()
        answered = 0
        for each in labelled:
            record = stored.get(each.number)
            if record is None or not is_settled(record):
                continue
            answered += 1
            if record.reward is None:
                unusable[reason_alone(record.reason or "")] += 1
            else:
                pairs.append(Pair(each.task, each.kind, each.reward, record.reward))
    found = agree(pairs, threshold)
    verdicts = share_of(len(pairs), answered)
    metrics = new_metrics(path, _figures(found, verdicts))
    result = AgreementResult(
        run=path,
        judge=model,
        wanted=len(labelled),
        verdicts=verdicts,
        agreement=found,
        kinds=dict(Counter(each.kind for each in labelled).most_common()),
        unusable=unusable,
        failed=failed,
        budget_spent=budget_spent,
        spending=spending,
    )
    return result, metrics


def _figures(found: Agreement, verdicts: Figure) -> Iterator[tuple[str, Figure]]:
    yield "agreement/verdicts", verdicts
    for name in found.__struct_fields__:
        figure: Any = getattr(found, name)
        if isinstance(figure, Figure):
            yield f"agreement/{name}", figure
    for kind, figure in found.by_kind.items():
        yield f"agreement/accuracy/{kind}", figure
