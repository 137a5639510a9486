"""LoRA SFT, end to end: a run's kept trajectories in, an adapter out."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from simia_store import AdapterRecord, MetricRecord, Reader, Store

from simia_async.config import SftConfig
from simia_async.errors import UsageError
from simia_async.models import model_directory
from simia_async.runs.record import record_run
from simia_async.supervision.frames import FromChild, Metrics, Published, TrainSft
from simia_async.supervision.process import ChildProcess

TRAINER = "simia_async.training.worker"


class SftResult(msgspec.Struct, frozen=True):
    """What SFT came to."""

    run: Path
    adapter: Path
    steps: int
    first_loss: float
    last_loss: float


class _SftRun(SftConfig, frozen=True, kw_only=True):
    """What the record keeps of an SFT run's settings."""

    data: str


OnMetrics = Callable[[Metrics], None]


async def run_sft(
    config: SftConfig,
    data: Path,
    path: Path,
    adapters: Path,
    *,
    on_metrics: OnMetrics = lambda _: None,
) -> SftResult:
    """Train on `data` and publish `adapters/v00001`.

    Raises `UsageError`, `StoreError`, or `ChildFailed` if the trainer dies.
    """
    model_directory(config.model)
    _check_readable(data)
    check_unpublished(adapters)
    settings = _SftRun(**msgspec.structs.asdict(config), data=str(data))
    losses: list[float] = []
    async with (
        record_run(path, "sft", settings) as store,
        ChildProcess.start("trainer", TRAINER, ["--out", str(adapters)]) as trainer,
    ):
        await trainer.send(TrainSft(str(data), msgspec.to_builtins(config)))
        while True:
            frame = await trainer.receive()
            await store_frame(store, frame)
            match frame:
                case Metrics():
                    losses.append(frame.values["loss"])
                    on_metrics(frame)
                case Published():
                    published = Path(frame.path)
                    return SftResult(path, published, frame.step, losses[0], losses[-1])


async def store_frame(store: Store, frame: FromChild) -> None:
    """Write down what the trainer reports."""
    match frame:
        case Metrics():
            await store.append(
                *(MetricRecord(frame.step, f"train/{k}", v) for k, v in frame.values.items())
            )
        case Published():
            await store.append(AdapterRecord(frame.version, frame.path, frame.parent, frame.step))


def check_unpublished(adapters: Path) -> None:
    """Raise `UsageError` if adapters of another run lie in the directory."""
    if list(adapters.glob("v[0-9]*")):
        raise UsageError(f"{adapters}: holds adapters already; name another directory with --out")


def _check_readable(data: Path) -> None:
    with Reader(data):
        pass
