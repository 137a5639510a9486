"""The model that a training begins with, as its settings say."""

from pathlib import Path

from peft import PeftModel

from simia_async.config import GrpoConfig, SftConfig
from simia_async.training.adapters import attach_adapter
from simia_async.training.attention import PACKED, check_packable
from simia_async.training.placement import Placement, keep_fewer_activations


def load_trainable(
    config: SftConfig | GrpoConfig,
    model_dir: Path,
    place: Placement,
    adapter: Path | None = None,
    targets: tuple[str, ...] = (),
) -> PeftModel:
    """The base with a fresh adapter on `targets`, or a copy of `adapter`, that learns.

    Raises `UsageError` as `attach_adapter` does, and for a model that samples cannot be packed for.
    """
    model = attach_adapter(
        model_dir,
        adapter,
        config.lora_rank,
        targets=targets,
        attention=PACKED if config.packing else None,
        placement=place,
    )
    if config.packing:
        check_packable(model.config, config.model)
    if config.gradient_checkpointing:
        keep_fewer_activations(model)
    return model
