"""What a training was made of, in a few bytes: the base's and the data's SHA-256."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from simia_async.errors import UsageError

_CHUNK = 1 << 20
_OF_BASE = ("config.json", "*.safetensors", "*.safetensors.index.json")


def base_fingerprint(model_dir: Path) -> str:
    """SHA-256 over names, sizes and contents of a model's configuration and weights.

    Read piece by piece, so that the size of the weights does not matter. Raises `UsageError` if a
    file cannot be read.
    """
    told = hashlib.sha256()
    files = sorted({file for pattern in _OF_BASE for file in model_dir.glob(pattern)})
    try:
        for file in files:
            told.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                while piece := content.read(_CHUNK):
                    told.update(piece)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    return told.hexdigest()


def data_fingerprint(samples: Sequence[msgspec.Struct]) -> str:
    """SHA-256 of all that the samples hold, in their order."""
    told = hashlib.sha256()
    for sample in samples:
        told.update(msgspec.json.encode(sample))
    return told.hexdigest()
