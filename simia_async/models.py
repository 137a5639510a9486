"""Names of models, and where they lie on disk."""

from pathlib import Path

from simia_async.config import TINY
from simia_async.errors import UsageError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""Name within an adapter's directory."""

_TINY_DIR = Path(__file__).parent / "builtin" / "tiny"


def model_directory(model: str) -> Path:
    """The directory of `model`: the tiny base, or a local Hugging Face model directory.

    Raises `UsageError` if there is no such directory. Nothing is downloaded.
    """
    directory = _TINY_DIR if model == TINY else Path(model)
    if not _is_file(directory / "config.json"):
        raise UsageError(
            f"no model at {model!r}: expected {TINY!r} or a local Hugging Face model directory "
            "(config.json, weights, tokenizer.json, chat template)"
        )
    return directory


def policy_name(version: int) -> str:
    """Name of a policy version at its endpoint: `policy@3`; version 0 is the base."""
    return f"policy@{version}"


def check_adapter(path: Path) -> Path:
    """`path`, if a peft adapter lies there. Raises `UsageError` otherwise."""
    for name in ("adapter_config.json", ADAPTER_WEIGHTS):
        if not _is_file(path / name):
            raise UsageError(f"{path}: no adapter here ({name} is missing)")
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False
