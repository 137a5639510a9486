"""Models and adapters, read from disk: from safetensors alone, and all there is, or not at all.

Other files of weights are pickles, which can run code. Nothing is downloaded.
"""

import warnings
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from transformers import AutoModelForCausalLM, PreTrainedModel

from simia_async.errors import UsageError
from simia_async.models import ADAPTER_WEIGHTS, check_adapter


def read_model(model_dir: Path, **how: Any) -> PreTrainedModel:
    """The model of a Hugging Face directory; `how` is what else `from_pretrained` is told.

    Raises `UsageError` if it cannot be loaded, or has no weights for a part of it: transformers
    would draw those by chance.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model_dir,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **how,
        )
    except Exception as error:  # a file from elsewhere can be wrong in every way
        raise UsageError(f"{model_dir}: cannot be loaded: {_one_line(error)}") from error
    model: PreTrainedModel = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):
        raise UsageError(
            f"{model_dir}: cannot be loaded: its weights lack {missing[0]}"
            + (f" and {len(missing) - 1} more" if missing[1:] else "")
        )
    return model


def read_adapter(base: PreTrainedModel, adapter: Path, *, is_trainable: bool = False) -> PeftModel:
    """`base` with the adapter attached to it, in place.

    Raises `UsageError` if it cannot be loaded, or is one of another model: peft would pass over
    layers that only the file or only the model has.
    """
    check_adapter(adapter)
    try:
        with warnings.catch_warnings():
            # Said below, as an error.
            warnings.filterwarnings("ignore", "Found missing adapter keys")
            adapted = PeftModel.from_pretrained(base, adapter, is_trainable=is_trainable)
        with safe_open(adapter / ADAPTER_WEIGHTS, "pt") as file:
            found = set(file.keys())
    except Exception as error:  # a file from elsewhere can be wrong in every way
        raise UsageError(f"{adapter}: the adapter cannot be loaded: {_one_line(error)}") from error
    expected = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    # Files may hold whole layers beside the adapter's, such as embeddings.
    left_over = {name for name in found - expected if "lora_" in name}
    for names, what in ((expected - found, "lacks"), (left_over, "also has")):
        if names:
            raise UsageError(
                f"{adapter / ADAPTER_WEIGHTS}: is not an adapter of this model: it {what} "
                f"{min(names)}"
            )
    return adapted


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
