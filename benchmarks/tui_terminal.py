"""A program in a terminal of its own, as benchmarks of the dashboard start it."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


def cpu_seconds(pid: int) -> float:
    """Seconds that a process's threads have been on a CPU, as Linux counts them."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


class Terminal:
    """A child whose terminal is a pseudo-terminal of `columns` by `rows`."""

    def __init__(
        self, command: Sequence[str], columns: int, rows: int, keep: Sequence[int] = ()
    ) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._child = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, pass_fds=keep,
            start_new_session=True, env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)
        self._said = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()
        os.close(self._ours)

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def read_for(self, seconds: float) -> int:
        """Take what the child draws for so long; how many bytes that was."""
        end, count = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            count += len(self._read(left))
        return count

    def read_until(self, text: bytes, within_s: float) -> None:
        """Take what it draws until `text` was among it. Raises `TimeoutError`."""
        end = time.monotonic() + within_s
        while text not in self._said:
            left = end - time.monotonic()
            if left <= 0 or self._child.poll() is not None:
                raise TimeoutError(f"{text!r} was not drawn; what was: {self._said[-2000:]!r}")
            self._said += self._read(left)

    def wait(self, within_s: float) -> None:
        """Take what it draws until it ends. Raises `TimeoutError`."""
        end = time.monotonic() + within_s
        while self._child.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError("the child does not end")
            self._read(0.05)

    def cpu_s(self) -> float:
        """Seconds that its threads have been on a CPU."""
        return cpu_seconds(self._child.pid)

    def memory_mb(self) -> float:
        """The most memory it has had."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def _read(self, within_s: float) -> bytes:
        if not select.select([self._ours], [], [], within_s)[0]:
            return b""
        try:
            return os.read(self._ours, 1 << 16)
        except OSError:  # the child has closed its end
            return b""
