"""A base model and versions of it with an adapter merged in, held side by side."""

import copy
from pathlib import Path

import torch
from transformers import PreTrainedModel

from simia_async.errors import UsageError
from simia_async.model_files import read_adapter, read_model


def load_base(model_dir: Path) -> PreTrainedModel:
    """The model, in float32. Raises `UsageError` if it cannot be loaded, or if its layers do not
    attend to all that is before them, for the cache could not serve those.
    """
    base = read_model(model_dir, dtype=torch.float32)
    base.train(mode=False)
    others = set(getattr(base.config, "layer_types", None) or ()) - {"full_attention"}
    if others or (not hasattr(base.config, "layer_types") and _slides(base)):
        kinds = ", ".join(sorted(others)) or "sliding_attention"
        raise UsageError(f"{model_dir}: layers of kind {kinds} are not served; use vLLM")
    return base


def _slides(base: PreTrainedModel) -> bool:
    return getattr(base.config, "sliding_window", None) is not None


def merged(base: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """`base` with an adapter merged in. Weights that the adapter leaves alone are shared with
    `base`, which is not changed. Raises `UsageError` if the adapter does not fit it.
    """
    shared = {
        id(parameter): torch.nn.Parameter(parameter.data, requires_grad=False)
        for parameter in base.parameters()
    }
    tuned = read_adapter(copy.deepcopy(base, shared), adapter)
    try:
        # A safe merge makes new tensors; any other would write into the base's.
        whole: PreTrainedModel = tuned.merge_and_unload(safe_merge=True)
    except (ValueError, AttributeError) as error:  # not finite, or of a kind that cannot be merged
        raise UsageError(f"{adapter}: the adapter cannot be merged: {error}") from error
    whole.train(mode=False)
    return whole
