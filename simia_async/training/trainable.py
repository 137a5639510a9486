"""The model that a training begins with, as its settings say."""

from pathlib import Path

import msgspec
from peft import PeftModel

from simia_async.config import GrpoConfig, SftConfig
from simia_async.training.adapters import attach_adapter
from simia_async.training.attention import PACKED, check_packable
from simia_async.training.placement import CPU, Placement, keep_fewer_activations
from simia_async.training.processes import ALONE, Processes
from simia_async.training.sharding import shard_base


def load_trainable(
    config: SftConfig | GrpoConfig,
    model_dir: Path,
    place: Placement,
    adapter: Path | None = None,
    targets: tuple[str, ...] = (),
    processes: Processes = ALONE,
) -> PeftModel:
    """The base with a fresh adapter on `targets`, or a copy of `adapter`, that learns. Several
    `processes` have a share of the base each.

    Raises `UsageError` as `attach_adapter` does, and for a model that samples cannot be packed for.
    """
    is_shared = processes.count > 1
    model = attach_adapter(
        model_dir,
        adapter,
        config.lora_rank,
        targets=targets,
        attention=PACKED if config.packing else None,
        # Whole, the base may be too large for one of the devices that it is shared by.
        placement=msgspec.structs.replace(place, device=CPU.device) if is_shared else place,
    )
    if config.packing:
        check_packable(model.config, config.model)
    if config.gradient_checkpointing:
        keep_fewer_activations(model)
    if is_shared:
        shard_base(model, place.device, processes)
    return model
