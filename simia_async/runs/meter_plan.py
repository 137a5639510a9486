"""What a meter is going to ask, and what that will cost: told before anything is asked."""

import hashlib
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from simia_store import MetricRecord, Reader, RunRecord, TrajectoryRecord, TrajectoryStatus

from simia_async.clients import Usage
from simia_async.clients.prices import prices_of
from simia_async.config import SCRIPTED, Endpoint, RunKind
from simia_async.environments import Environment
from simia_async.errors import UsageError
from simia_async.meters.figures import Figure
from simia_async.runs.unwritten import unwritten_metrics

BYTES_PER_TOKEN = 4
"""About, for English and JSON."""

_ASKED = re.compile(r"^https?://\S+: ")

UNUSABLE = "unusable"
"""Key in the detail of what was asked in vain: why no answer could be used."""

T = TypeVar("T")


class CostEstimate(msgspec.Struct, frozen=True):
    """What is to be expected of calls that are not made yet. Answers that cannot be used and are
    asked for once more are not part of it.
    """

    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    """None where the price is not known."""
    is_embedded: bool
    """Whether the embedded scripted simulator is asked, which costs nothing."""

    def in_words(self) -> str:
        """A sentence for the screen."""
        if not self.calls:
            return "nothing, all is there"
        about = f"about {self.calls:,} calls of {self.model}, "
        about += f"{self.tokens_in:,} tokens in and {self.tokens_out:,} out"
        if self.is_embedded:
            return f"{about}; the embedded one costs nothing"
        if self.cost_usd is None:
            return f"{about}; its price is not known (--usd-in, --usd-out)"
        return f"{about}, ${self.cost_usd:.4f}"


def estimate_cost(endpoint: Endpoint, sizes: Sequence[tuple[int, int]]) -> CostEstimate:
    """For calls of these sizes: bytes of the prompt, and of the answer that is expected.

    Slow the first time, see `prices_of`.
    """
    tokens_in = sum(prompt // BYTES_PER_TOKEN for prompt, _ in sizes)
    tokens_out = sum(answer // BYTES_PER_TOKEN for _, answer in sizes)
    is_embedded = not endpoint.base_url
    prices = None if is_embedded else prices_of(endpoint)
    return CostEstimate(
        SCRIPTED if is_embedded else endpoint.model or "",
        len(sizes),
        tokens_in,
        tokens_out,
        prices.cost_usd(Usage(tokens_in, tokens_out)) if prices else None,
        is_embedded,
    )


def recorded_file(environment: Environment, named: str | None) -> Path:
    """The recorded conversations. Raises `UsageError` if none were named and there are no seeds."""
    path = Path(named) if named else environment.seeds_file
    if path is None:
        raise UsageError(
            f"environment {environment.name!r} comes without seeds; name recorded conversations "
            "with --recorded FILE"
        )
    return path


def digest_of(path: Path) -> str:
    """SHA-256 of a file. Raises `UsageError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def sample(items: Sequence[T], count: int | None, seed: int) -> list[T]:
    """`count` of them at random, in their order; a larger sample holds every smaller one."""
    if count is None or count >= len(items):
        return list(items)
    order = list(range(len(items)))
    random.Random(f"meter/{seed}").shuffle(order)
    return [items[number] for number in sorted(order[:count])]


def stored_trajectories(path: Path, kind: RunKind) -> dict[int, TrajectoryRecord]:
    """What earlier sessions of the run at `path` left, by number; nothing where there is none.

    Raises `UsageError` if a run of another kind is there.
    """
    if not path.exists():
        return {}
    with Reader(path) as reader:
        run: RunRecord | None = reader.run()
        if run is not None and run.kind != kind:
            raise UsageError(
                f"{path}: holds a run of kind {run.kind!r} already; name another database with "
                "--run"
            )
        return {each.id: each for each in reader.trajectories()}


def is_settled(trajectory: TrajectoryRecord | None) -> bool:
    """Whether it need not be asked again: it was answered, or what came cannot be used."""
    return trajectory is not None and (
        trajectory.status == TrajectoryStatus.SCORED or UNUSABLE in trajectory.detail
    )


def new_metrics(path: Path, figures: Iterable[tuple[str, Figure]]) -> list[MetricRecord]:
    """Figures by name as metrics, with the ends of their intervals, but for those that the run at
    `path` holds already.
    """
    values: dict[str, float | None] = {}
    for name, figure in figures:
        values |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    found = (MetricRecord(0, name, value) for name, value in values.items() if value is not None)
    return unwritten_metrics(path, found)


def reason_alone(reason: str) -> str:
    """Why an answer could not be used, without what it said and who was asked, so that reasons can
    be counted: an embedded simulator has another port in every session.
    """
    return _ASKED.sub("", reason.partition("; said ")[0])
