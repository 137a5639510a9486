"""LoRA SFT, end to end: runs' kept trajectories in, adapters out."""

from collections.abc import Callable, Sequence
from pathlib import Path

import anyio.to_thread
import msgspec
from simia_store import AdapterRecord, MetricRecord, Reader, RunRecord, Store
from simia_store.maintenance import delete

from simia_async.config import SftConfig
from simia_async.errors import ChildFailed, ConfigError, UsageError
from simia_async.models import model_directory
from simia_async.rendering.renderer import Renderer
from simia_async.runs.obedience import Obey
from simia_async.runs.record import record_run
from simia_async.runs.sft_steering import SftSteering
from simia_async.supervision.frames import (
    Checkpointed,
    FromChild,
    Metrics,
    Published,
    SftDone,
    TrainSft,
)
from simia_async.supervision.launched import start_child
from simia_async.supervision.launchers import read_launcher
from simia_async.supervision.process import ChildProcess

TRAINER = "simia_async.training.worker"


class SftResult(msgspec.Struct, frozen=True):
    """What SFT came to."""

    run: Path
    adapter: Path
    """The best on what was held out; where nothing was, the last."""
    last_adapter: Path
    steps: int
    """That were taken; with `patience` perhaps fewer than planned."""
    first_loss: float
    last_loss: float
    eval_loss: float | None
    """Of `adapter`; None where nothing was held out."""


class _SftRun(SftConfig, frozen=True, kw_only=True):
    """What the record keeps of an SFT run's settings."""

    data: tuple[str, ...] = ()
    adapters: str = ""


OnMetrics = Callable[[Metrics], None]


async def run_sft(
    config: SftConfig,
    data: Sequence[Path],
    path: Path,
    adapters: Path,
    *,
    on_metrics: OnMetrics = lambda _: None,
) -> SftResult:
    """Train on the runs `data` and publish in `adapters`. A run at `path` that was cut off goes on
    from its last checkpoint.

    Raises `UsageError`, `StoreError`, or `ChildFailed` if the trainer dies.
    """
    # First, so that wrong settings, a wrong model or directory leave no run behind.
    await anyio.to_thread.run_sync(check_sft, config, path, adapters)
    launcher = read_launcher(config.launch)
    for run in data:
        with Reader(run):
            pass
    is_new = not await anyio.to_thread.run_sync(path.exists)
    own = msgspec.structs.asdict(config)
    settings = _SftRun(**own, data=tuple(map(str, data)), adapters=str(adapters))
    commands: dict[str, Obey] = {}
    try:
        async with (
            record_run(path, "sft", settings, may_continue=True, commands=commands) as store,
            start_child("trainer", TRAINER, ["--out", str(adapters)], launcher) as trainer,
        ):
            await trainer.send(TrainSft([str(run) for run in data], msgspec.to_builtins(config)))
            steering = SftSteering(trainer, commands)
            done = await _follow(trainer, store, steering, on_metrics)
    except ChildFailed as error:
        raise ChildFailed(f"{error}; go on with: simia train sft --resume {path}") from error
    except UsageError:
        # What the trainer cannot work with leaves no run behind that would have to be resumed.
        if is_new and await anyio.to_thread.run_sync(_last_step, path) == 0:
            await anyio.to_thread.run_sync(delete, path)
        raise
    return await anyio.to_thread.run_sync(_result, path, done)


def check_sft(config: SftConfig, path: Path, adapters: Path) -> None:
    """Raise `UsageError` if a run at `path` would refuse its settings, model or directory."""
    if config.patience is not None and config.eval_share == 0:
        raise ConfigError("--patience: also needs --eval-share: what to evaluate")
    read_launcher(config.launch)
    Renderer(model_directory(config.model))
    if _earlier_run(path) is None:
        check_unpublished(adapters)


async def _follow(
    trainer: ChildProcess, store: Store, steering: SftSteering, on_metrics: OnMetrics
) -> SftDone:
    """Write down and tell on what the trainer reports, until all is published."""
    told = await anyio.to_thread.run_sync(_last_step, store.path)
    while True:
        frame = await trainer.receive()
        # A run that goes on takes the steps after its checkpoint again, with the same outcome.
        if not isinstance(frame, Metrics) or frame.step > told:
            await store_frame(store, frame)
        match frame:
            case Metrics():
                on_metrics(frame)
            case Checkpointed():
                steering.taken(frame)
            case SftDone():
                steering.over()
                return frame


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
    """Raise `UsageError` if adapters of another run, or its beginnings, lie in the directory."""
    for pattern, what in (("v[0-9]*", "adapters"), ("training.json", "an unfinished training")):
        if any(adapters.glob(pattern)):
            raise UsageError(f"{adapters}: holds {what} already; name another directory with --out")


def stored_places(path: Path) -> tuple[list[Path], Path]:
    """Data and directory of adapters of the SFT run at `path`. Raises `StoreError` or `UsageError`
    if there is none.
    """
    run = _earlier_run(path)
    if run is None or run.kind != "sft":
        raise UsageError(f"{path}: cannot be resumed: no SFT run was begun there")
    data = run.config["data"]
    # Runs that were begun when only one could be named hold it as text.
    named = [data] if isinstance(data, str) else data
    return [Path(each) for each in named], Path(run.config["adapters"])


def _earlier_run(path: Path) -> RunRecord | None:
    if not path.exists():
        return None
    with Reader(path) as reader:
        return reader.run()


def _last_step(path: Path) -> int:
    """The last whose metrics are stored; 0 if there is none."""
    with Reader(path) as reader:
        return max((metric.step for metric in reader.metrics("train/loss")), default=0)


def _result(path: Path, done: SftDone) -> SftResult:
    with Reader(path) as reader:
        places = {adapter.version: Path(adapter.path) for adapter in reader.adapters()}
        losses = [metric.value for metric in reader.metrics("train/loss")]
        held_out = [metric.value for metric in reader.metrics("train/eval_loss")]
    return SftResult(
        run=path,
        adapter=places[done.best],
        last_adapter=places[done.last],
        steps=done.steps,
        first_loss=losses[0],
        last_loss=losses[-1],
        eval_loss=min(held_out, default=None),
    )
