"""Directories that appear whole, under their final name, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from simia_async.errors import UsageError
from simia_async.whole_files import sync, write_whole


@contextmanager
def directory_at_once(final: Path) -> Iterator[Path]:
    """A directory to fill, which is on disk and gets the name `final` when the block ends well.

    Otherwise nothing of it stays. Raises `UsageError` if it cannot be written.
    """
    partial = final.with_name(f".{final.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for file in partial.iterdir():
            sync(file)
        sync(partial)
        os.replace(partial, final)
        sync(final.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError | SafetensorError):
            raise UsageError(f"{final}: cannot be written: {_reason(error)}") from error
        raise


def file_at_once(final: Path, content: bytes) -> None:
    """The same for a file of this content."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        write_whole(final, [content])
    except OSError as error:
        raise UsageError(f"{final}: cannot be written: {_reason(error)}") from error


def _reason(error: OSError | SafetensorError) -> str:
    """Without the path, which the sentence names already."""
    return getattr(error, "strerror", None) or str(error)
