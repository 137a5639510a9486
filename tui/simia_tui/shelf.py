"""Reading a run for the screens: one thread that has the database, so that no screen ever waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from simia_store import Browser

T = TypeVar("T")


class Shelf:
    """Answers questions to one run, one after the other, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._browser: Browser | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shelf")

    async def ask(self, question: Callable[[Browser], T]) -> T:
        """What `question` finds. Raises `StoreError` if the run cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, question)

    def close(self) -> None:
        """Close the database, once what is being read is read."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _do(self, question: Callable[[Browser], T]) -> T:
        if self._browser is None:
            self._browser = Browser(self.path)
        return question(self._browser)

    def _close(self) -> None:
        if self._browser is not None:
            self._browser.close()
