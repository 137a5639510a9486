"""What of a run is sent as a file."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from simia_store import Reader
from simia_store.replication import copy_run

from simia_async.errors import UsageError
from simia_async.serving.jobs import JobDirectory, UnknownJob
from simia_async.serving.making import EXIT_NO_ROOM, EXIT_REFUSED
from simia_async.synthesis.export_format import ExportFormat

_AT_ONCE = 2
"""Processes that make something; more wait for their turn."""


def copied(directory: JobDirectory) -> anyio.AsyncFile[bytes]:
    """The run's database as it is now, whole, in a file without a name. Raises `StoreError`."""
    fd, name = tempfile.mkstemp(dir=directory.path, prefix=".copy-")
    try:
        copy_run(directory.database, Path(name))
        return anyio.wrap_file(open(fd, "rb"))
    finally:
        os.unlink(name)


class Downloads:
    """Makes files of runs, each by a process, once for all who ask for it at the same time.

    Files stand in the run's directory until the run has gone on or is deleted, so that a download
    that broke off can be taken up.
    """

    def __init__(self) -> None:
        self._room = anyio.CapacityLimiter(_AT_ONCE)
        self._locks: dict[Path, anyio.Lock] = {}

    async def export(self, directory: JobDirectory, form: str) -> Path:
        """The run's data set as a tar. Raises `UsageError` or `StoreError`."""
        if form not in set(ExportFormat):
            known = ", ".join(ExportFormat)
            raise UsageError(f"format: found {form!r}; it must be one of {known}")
        file = await anyio.to_thread.run_sync(_place, directory, f"{form}-", ".tar", ())
        return await self._made(file, "export", form, str(directory.database))

    async def card(
        self, directory: JobDirectory, evaluations: Sequence[Path], meters: Sequence[Path]
    ) -> Path:
        """The run's page, as Markdown. Raises `UsageError` or `StoreError`."""
        named = (evaluations, meters)
        beside = [*evaluations, *meters]
        file = await anyio.to_thread.run_sync(_place, directory, "card-", ".md", beside)
        lists = [msgspec.json.encode([str(each) for each in both]).decode() for both in named]
        return await self._made(file, "card", str(directory.database), after=lists)

    async def adapter(self, directory: JobDirectory, version: str) -> Path:
        """An adapter of the run as a tar. Raises `UnknownJob`."""
        published = await anyio.to_thread.run_sync(lambda: [*directory.adapters.glob("v*")])
        for adapter in published:
            if adapter.name == version:
                file = directory.exports / f"{version}.tar"
                return await self._made(file, "adapter", str(adapter))
        raise UnknownJob(f"{version!r}: the run has no such adapter")

    async def _made(self, file: Path, what: str, *given: str, after: Sequence[str] = ()) -> Path:
        async with self._locks.setdefault(file.parent, anyio.Lock()):
            if not await anyio.Path(file).exists():
                async with self._room:
                    await _make(file, [what, *given], after)
        return file


async def _make(file: Path, before: Sequence[str], after: Sequence[str]) -> None:
    making = file.parent / ".making"
    # What a server that was killed has left.
    await anyio.to_thread.run_sync(partial(shutil.rmtree, making, ignore_errors=True))
    await anyio.Path(making).mkdir(parents=True)
    try:
        module = [sys.executable, "-m", "simia_async.serving.making"]
        done = await anyio.run_process(
            [*module, *before, str(making / file.name), *after], check=False, stdin=None
        )
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        if done.returncode == EXIT_NO_ROOM:
            raise OSError(0, said)
        if done.returncode == EXIT_REFUSED:
            raise UsageError(said.replace(f"{making}/", ""))
        if done.returncode:
            raise OSError(0, f"what makes {file.name} was ended ({done.returncode})")
        await anyio.to_thread.run_sync(_replace_earlier, making / file.name, file)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, making, ignore_errors=True))


def _place(directory: JobDirectory, stem: str, suffix: str, beside: Sequence[Path]) -> Path:
    """Where something stands that depends on what the run, and others, hold now."""
    held = hashlib.sha256()
    for database in (directory.database, *beside):
        with Reader(database) as reader:
            held.update(f"{database.parent.name} {reader.newest_event()}\n".encode())
    return directory.exports / f"{stem}{held.hexdigest()[:16]}{suffix}"


def _replace_earlier(new: Path, file: Path) -> None:
    """Put it in its place; what was made of the run before it went on is of no use any more."""
    kind, suffix = file.name.partition("-")[0], file.suffix
    for earlier in file.parent.glob(f"{kind}-*{suffix}"):
        earlier.unlink(missing_ok=True)
    os.replace(new, file)
