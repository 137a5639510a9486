"""Names of models, and where they lie on disk."""

from pathlib import Path

from simia_async.config import TINY
from simia_async.errors import UsageError

_TINY_DIR = Path(__file__).parent / "builtin" / "tiny"


def model_directory(model: str) -> Path:
    """The directory of `model`: the tiny base, or a local Hugging Face model directory.

    Raises `UsageError` if there is no such directory. Nothing is downloaded.
    """
    directory = _TINY_DIR if model == TINY else Path(model)
    if not (directory / "config.json").is_file():
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
    if not (path / "adapter_config.json").is_file():
        raise UsageError(f"{path}: no adapter here (adapter_config.json is missing)")
    return path
