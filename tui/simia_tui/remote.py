"""A run of a server (`simia serve`), followed as if it were here: a copy of its record is kept up
to date in a temporary directory, and screens read that.

Methods block: call them off the event loop.
"""

import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from simia_store import STOP, CommandStatus, StoreError
from simia_store.replication import Changes, Replica

from simia_tui.steering import Answer, no_answer, spoken

TOKEN_ENV = "SIMIA_SERVER_TOKEN"  # noqa: S105 (a name, not a token)
_TIMEOUT_S = 15.0
_PIECE = 2**20
_EVERY_S = 0.5


class RemoteRunLine(msgspec.Struct, frozen=True):
    """A run of a server, in a line."""

    id: str
    kind: str
    state: str


class _Runs(msgspec.Struct, frozen=True):
    runs: list[RemoteRunLine]


class _Said(msgspec.Struct, frozen=True):
    number: int
    status: CommandStatus
    answer: str | None


class _Problem(msgspec.Struct, frozen=True):
    detail: str


class RemoteServer:
    """A server at a URL, asked with the token in `SIMIA_SERVER_TOKEN` or in a file."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = _token(token_file)

    def runs(self) -> list[RemoteRunLine]:
        """Its runs, the newest first. Raises `StoreError`."""
        return msgspec.json.decode(self._ask("/v1/runs").read(), type=_Runs).runs

    def newest(self) -> str:
        """The run that was submitted last, those that go on before others. Raises `StoreError` if
        there is none.
        """
        runs = self.runs()
        if not runs:
            raise StoreError(f"{self.url}: has no runs yet")
        return next((run.id for run in runs if run.state == "running"), runs[0].id)

    def changes(self, number: str, cursor: int) -> Changes:
        """What was written to a run after a cursor. Raises `StoreError`."""
        told = self._ask(f"/v1/runs/{number}/changes?after={cursor}").read()
        return msgspec.msgpack.decode(told, type=Changes)

    def download(self, number: str, path: Path) -> None:
        """The record of a run as it is now. Raises `StoreError`."""
        with self._ask(f"/v1/runs/{number}/database") as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file, _PIECE)

    def command(self, number: str, name: str, arguments: dict[str, Any]) -> Iterator[Answer | None]:
        """Ask something of a run: an `Asker`."""
        if name == STOP:
            self._ask(f"/v1/runs/{number}/stop", body={}).close()
            yield Answer("stop: the server has been asked to end it", is_good=True)
            return
        place, body = f"/v1/runs/{number}/commands", {"name": name, "arguments": arguments}
        said = self._said(place, body)
        if said.answer is None:
            yield no_answer(name)
            return
        last: str | None = None
        while said.status == CommandStatus.WAITING:
            text = f"{spoken(name)}: {said.answer}"
            yield Answer(text, is_good=True, is_last=False) if text != last else None
            last = text
            time.sleep(_EVERY_S)
            said = self._said(f"{place}/{said.number}")
        done = said.status == CommandStatus.DONE
        yield Answer(f"{spoken(name)}: {'' if done else 'refused: '}{said.answer}", is_good=done)

    def _said(self, path: str, body: Any = None) -> "_Said":
        return msgspec.json.decode(self._ask(path, body).read(), type=_Said)

    def _ask(self, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        data = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310 (see split_url)
        try:
            return urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
        except urllib.error.HTTPError as error:
            raise StoreError(f"{self.url}: {_detail(error)}") from error
        except OSError as error:
            raise StoreError(f"{self.url}: {getattr(error, 'reason', error)}") from error


class RemoteCopy:
    """A copy of one run of a server; it lasts as long as its context."""

    def __init__(self, server: RemoteServer, number: str) -> None:
        self._server = server
        self._number = number
        self._place = Path(tempfile.mkdtemp(prefix="simia-tui-"))
        self.path = self._place / f"{number}.db"
        try:
            server.download(number, self.path)
            self._replica = Replica(self.path)
        except BaseException:
            shutil.rmtree(self._place, ignore_errors=True)
            raise

    def refresh(self) -> None:
        """Take what was written since. Raises `StoreError`."""
        while True:
            changes = self._server.changes(self._number, self._replica.cursor)
            self._replica.take(changes)
            if not changes.more:
                return

    def ask(self, name: str, arguments: dict[str, Any]) -> Iterator[Answer | None]:
        """Ask something of the run itself: an `Asker`."""
        return self._server.command(self._number, name, arguments)

    @contextmanager
    def followed(self, trouble: Callable[[str], None]) -> Iterator[None]:
        """Kept up to date from a thread as long as the context lasts. `trouble` hears of a server
        that does not answer, once until it does again.
        """
        over = threading.Event()

        def follow() -> None:
            is_lost = False
            while not over.wait(_EVERY_S):
                try:
                    self.refresh()
                    is_lost = False
                except StoreError as error:
                    if not is_lost:
                        trouble(f"what is shown grows old: {error}")
                    is_lost = True

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_TIMEOUT_S)

    def close(self) -> None:
        """Remove the copy."""
        self._replica.close()
        shutil.rmtree(self._place, ignore_errors=True)


def split_url(text: str) -> tuple[str, str | None]:
    """Server and run in `http://host:port` or `http://host:port/RUN`. Raises `StoreError`."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise StoreError(f"{text}: is no URL of a server, such as http://127.0.0.1:8600")
    run = parts.path.strip("/").removeprefix("v1/runs/")
    return f"{parts.scheme}://{parts.netloc}", run or None


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise StoreError(f"{file}: cannot be read: {error.strerror}") from error
    token = os.environ.get(TOKEN_ENV)
    if not token:
        raise StoreError(
            f"no token for the server: name its file (--token-file), or put it into {TOKEN_ENV}"
        )
    return token


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return msgspec.json.decode(error.read(), type=_Problem).detail
    except msgspec.MsgspecError:
        return f"HTTP {error.code}"
