"""What clients send before they submit: seeds, tasks and rubrics as files, environments as several.

An environment is read as a run would read it, in a place of its own; only what is sound is put
where submissions can name it, whole or not at all.
"""

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from simia_async.environments import load_environment
from simia_async.errors import UsageError
from simia_async.serving.admission import is_plain
from simia_async.whole_files import write_whole

LARGEST_FILE = 64 * 2**20
_SUFFIXES = (".jsonl", ".json", ".toml", ".txt", ".parquet")
_OF_ENVIRONMENT = (".md", ".json", ".jsonl", ".toml")
_MOST_FILES = 200
_replacing = threading.Lock()
_OLD = "old"
"""Where an environment lies that is being replaced."""


IsFree = Callable[[Path], None]
"""Raises `InUse` where a run that is not over was submitted with what lies there."""


def keep_file(uploads: Path, name: str, content: bytes, is_free: IsFree) -> Path:
    """Put a file where submissions find it by its name. Raises `UsageError`."""
    if not is_plain(name) or "/" in name or not name.endswith(_SUFFIXES):
        raise UsageError(
            f"{name!r}: is no name of a file that a run reads: one word that ends in "
            f"{', '.join(_SUFFIXES)}"
        )
    if not content:
        raise UsageError(f"{name}: is empty")
    place = uploads / "files"
    place.mkdir(parents=True, exist_ok=True)
    if _bytes_at(place / name) != content:
        is_free(place / name)
        write_whole(place / name, [content])
    return place / name


def keep_environment(uploads: Path, name: str, files: Mapping[str, str], is_free: IsFree) -> Path:
    """Put an environment where submissions find it by its name. `files` are texts by relative path.

    Raises `UsageError` for a name or path that is none, and for what is wrong in the environment.
    """
    if not is_plain(name) or "/" in name:
        raise UsageError(f"{name!r}: is no name of an environment: one word without a dot in front")
    if not 0 < len(files) <= _MOST_FILES:
        raise UsageError(f"{name}: holds {len(files)} files; it must be 1 to {_MOST_FILES}")
    for path in files:
        if not is_plain(path) or not path.endswith(_OF_ENVIRONMENT):
            raise UsageError(
                f"{name}: {path!r} is no file of an environment: a relative path that ends in "
                f"{', '.join(_OF_ENVIRONMENT)}"
            )
    place = uploads / "environments"
    place.mkdir(parents=True, exist_ok=True)
    partial = place / f".{secrets.token_hex(8)}" / "new" / name
    try:
        _write(partial, files)
        _check(partial)
        with _replacing:
            if _texts_of(place / name) != _texts_of(partial):
                is_free(place / name)
                _replace_directory(partial, place / name)
    finally:
        shutil.rmtree(partial.parent.parent, ignore_errors=True)
    return place / name


def sweep(uploads: Path) -> None:
    """Put right what a server left that was killed while something was sent."""
    for partial in (uploads / "files").glob(".*"):
        partial.unlink(missing_ok=True)
    environments = uploads / "environments"
    for partial in environments.glob(".*"):
        for old in (partial / _OLD).glob("*"):
            if not (environments / old.name).exists():
                os.rename(old, environments / old.name)
        shutil.rmtree(partial, ignore_errors=True)


def _write(directory: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = directory / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise UsageError(f"{path!r}: lies in another of the files, or is one's place") from None


def _bytes_at(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _texts_of(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def _check(directory: Path) -> None:
    try:
        load_environment(str(directory))
    except UsageError as error:
        # Where it was looked at is nobody's business.
        raise UsageError(str(error).replace(f"{directory.parent}/", "")) from None


def _replace_directory(new: Path, place: Path) -> None:
    if place.exists():
        old = new.parent.parent / _OLD
        old.mkdir()
        os.rename(place, old / place.name)
    os.rename(new, place)
