"""Files of a server's runs, whole or not at all; one that breaks off is taken up where it was."""

import os
import shutil
import tarfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from simia_async.errors import EndpointError, EndpointRefused, EndpointUnavailable, UsageError
from simia_async.serving.problems import Problem

TRY_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before a request is repeated."""
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
"""Some of what is fetched is made first."""
_PARTIAL, _PRECONDITION, _NO_SUCH_PART = 206, 412, 416


async def fetch_file(http: aiohttp.ClientSession, url: str, path: Path) -> None:
    """Write what is at `url` to `path`; a file that is there is replaced.

    Raises `UsageError` where it cannot be written, and `EndpointError` where it is not to be had.
    """
    coming = path.with_name(f".{path.name}.partial")
    try:
        with coming.open("wb") as file:
            await _fill(http, url, file)
        os.replace(coming, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            coming.unlink()


async def fetch_directory(http: aiohttp.ClientSession, url: str, directory: Path) -> None:
    """Unpack the tar at `url` into a new directory, or one that is empty.

    Raises as `fetch_file` does, and `UsageError` where the directory holds something.
    """
    if await anyio.to_thread.run_sync(_is_taken, directory):
        raise UsageError(f"{directory}: is there already; name a new directory")
    coming = directory.with_name(f".{directory.name}.partial")
    await anyio.to_thread.run_sync(partial(shutil.rmtree, coming, ignore_errors=True))
    try:
        coming.mkdir(parents=True)
        await fetch_file(http, url, coming / "all.tar")
        await anyio.to_thread.run_sync(_unpack, coming / "all.tar", coming / "all")
        os.replace(coming / "all", directory)
    except OSError as error:
        raise UsageError(f"{directory}: cannot be written: {error.strerror or error}") from error
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, coming, ignore_errors=True))


def error_of(status: int, told: bytes) -> EndpointError:
    """The error that an answer of a server tells of."""
    try:
        said = msgspec.json.decode(told, type=Problem).detail
    except msgspec.MsgspecError:
        said = f"HTTP {status}"
    kind = EndpointUnavailable if status >= 500 or status == 429 else EndpointRefused
    error = kind(said)
    error.status = status
    return error


def _is_taken(directory: Path) -> bool:
    return directory.exists() and not (directory.is_dir() and not any(directory.iterdir()))


def _unpack(tar: Path, directory: Path) -> None:
    """Plain files only, and none outside the directory."""
    try:
        with tarfile.open(tar) as opened:
            opened.extractall(directory, filter="data")
    except tarfile.TarError as error:
        raise UsageError(f"{directory.name}: the server sent no tar: {error}") from error


async def _fill(http: aiohttp.ClientSession, url: str, file: Any) -> None:
    """All of what is at `url`, in as many requests as that takes while it grows."""
    tag: str | None = None
    waits = iter(TRY_AGAIN_S)
    while True:
        held = file.tell()
        headers = {"Range": f"bytes={held}-", "If-Match": tag} if held and tag else {}
        try:
            async with http.get(url, headers=headers, timeout=_PATIENCE) as response:
                if response.status in (_PRECONDITION, _NO_SUCH_PART) and headers:
                    # It is another one by now.
                    _restart(file)
                    tag = None
                    continue
                if response.status >= 400:
                    error = error_of(response.status, await response.read())
                    if response.status not in (429, 502, 503):
                        raise error
                else:
                    if response.status != _PARTIAL:
                        _restart(file)
                    tag = response.headers.get("ETag")
                    async for piece in response.content.iter_any():
                        file.write(piece)
                        waits = iter(TRY_AGAIN_S)
                    return
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as failure:
            error = EndpointUnavailable(f"{url}: {failure or type(failure).__name__}")
        wait_s = next(waits, None)
        if wait_s is None:
            raise error
        await anyio.sleep(wait_s)


def _restart(file: Any) -> None:
    file.seek(0)
    file.truncate()
