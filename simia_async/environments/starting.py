"""A directory to start an environment from: a small example, or one of the library."""

import shutil
import tempfile
from pathlib import Path

from simia_async.environments.environment import LIBRARY, library_names
from simia_async.errors import UsageError

TEMPLATE = Path(__file__).with_name("template")
"""The example: small, complete, and explained in its comments."""


def start_environment(directory: Path, source: str | None = None) -> list[str]:
    """Write the example, or the environment `source` of the library; the names of its files.

    The directory appears whole or not at all. Raises `UsageError` if there is anything in it.
    """
    if source is not None and source not in library_names():
        raise UsageError(
            f"--from {source}: no environment of the library; it has {', '.join(library_names())}"
        )
    template = LIBRARY / source if source else TEMPLATE
    refuse_occupied(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".simia-env-", dir=directory.parent) as place:
            whole = Path(place) / "whole"
            shutil.copytree(template, whole, copy_function=shutil.copyfile)
            # Takes the place of an empty directory, and of nothing else.
            whole.rename(directory)
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror}") from error
    return sorted(path.name for path in directory.iterdir())


def refuse_occupied(directory: Path) -> None:
    """Raise `UsageError` for a directory that cannot be made anew."""
    if directory.is_dir() and any(directory.iterdir()):
        raise UsageError(
            f"{directory}: is not empty; name a directory that is empty or not there yet"
        )
    for place in (directory, *directory.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"{place}: is a file; name a directory that is not there yet")
