"""What an SFT run publishes: the adapter of its last step, and that of its best evaluation."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from simia_async.config import GrpoConfig, SftConfig
from simia_async.errors import UsageError
from simia_async.training.adapted import Tensors
from simia_async.training.adapters import MANIFEST, publish_adapter
from simia_async.training.checkpoints import Origin, Progress
from simia_async.training.learner import Learner
from simia_async.training.placement import Placement
from simia_async.training.processes import Processes

_PACKAGES = ("simia-async", "torch", "transformers", "peft")


class Adapter(msgspec.Struct, frozen=True):
    """One that stands published."""

    version: int
    path: Path
    step: int


class Trained(msgspec.Struct, frozen=True):
    """The adapters of a run. They are the same where nothing was held out, or the last is best."""

    best: Adapter
    last: Adapter
    steps: int


class _Manifest(msgspec.Struct):
    """The fields of a manifest that tell which adapter of its run it is."""

    version: int
    step: int
    is_best: bool
    is_last: bool


def manifest_of(
    config: SftConfig | GrpoConfig,
    data: Sequence[Path],
    origin: Origin,
    place: Placement,
    processes: Processes,
) -> dict[str, Any]:
    """Where adapters come from, for their manifests."""
    return {
        "base": config.model,
        "base_sha256": origin.base_sha256,
        "parent": None,
        "data": ", ".join(map(str, data)),
        "data_sha256": origin.data_sha256,
        "config": msgspec.to_builtins(config),
        "device": place.device_name,
        "dtype": place.dtype_name,
        "processes": processes.count,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def publish_trained(
    model: Any,
    learner: Learner,
    out: Path,
    progress: Progress,
    best: Tensors,
    manifest: dict[str, Any],
) -> None:
    """Publish the best adapter, if it is another than the last, then the last.

    What a run that was cut off here published already stays. Raises `UsageError` if the disk says
    no.
    """
    told = {**manifest, "steps": progress.step, "tokens": progress.tokens}
    told["losses"] = {
        "first": progress.first_loss,
        "last": progress.last_loss,
        "lowest": progress.lowest_loss,
        "eval": msgspec.structs.asdict(progress.evaluations) if best else None,
    }
    best_step = progress.evaluations.best_step if best else progress.step
    assert best_step is not None
    steps = sorted({best_step, progress.step})
    last_weights = learner.weights()
    for number, step in enumerate(steps, 1):
        which = {"step": step, "is_best": step == best_step, "is_last": step == progress.step}
        if not (out / f"v{number:05}").exists():
            learner.set_weights(last_weights if which["is_last"] else best)
            publish_adapter(model, out, number, {"version": number, **which, **told})


def find_trained(out: Path) -> Trained | None:
    """What a run published in `out`; None if it has not published all yet.

    Raises `UsageError` if a manifest cannot be read.
    """
    best = last = None
    for path in sorted(out.glob("v[0-9]*")):
        manifest = _read(path / MANIFEST)
        adapter = Adapter(manifest.version, path, manifest.step)
        best = adapter if manifest.is_best else best
        last = adapter if manifest.is_last else last
    return None if best is None or last is None else Trained(best, last, last.step)


def _read(path: Path) -> _Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
