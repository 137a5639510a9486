"""A fast start: what is done before the screen is there, and what is put off until it is."""

import gc
from contextlib import suppress
from pathlib import Path
from threading import Thread

from simia_store import StoreError

from simia_tui.feed import Feed, Snapshot


class FirstLook:
    """Reads a run in a thread of its own while the screen is still being made.

    Raises `StoreError` at once if there is no such run.
    """

    def __init__(self, path: Path) -> None:
        self._feed = Feed(path)
        self._snapshot: Snapshot | None = None
        self._thread = Thread(target=self._read, name="first look", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> Snapshot | None:
        """What was read; None as long as it is being read."""
        return None if self._thread.is_alive() else self._snapshot

    def feed(self) -> Feed:
        """The feed that goes on from there, for whoever closes it. Blocks while it is read from."""
        self._thread.join()
        return self._feed

    def _read(self) -> None:
        # What cannot be read now is told of by who polls the feed next.
        with suppress(StoreError):
            self._snapshot = self._feed.poll()


def collect_no_garbage_yet() -> None:
    """Imports make objects by the hundred thousand, none of which is garbage."""
    gc.disable()


def collect_garbage_from_now_on() -> None:
    """What stands so far stays for good, and is not looked at again and again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
