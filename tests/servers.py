"""A server (`simia serve`) in a process of its own, which can be killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]


class ServerProcess:
    """`simia serve` on a directory, at a port of its own that stays the same."""

    def __init__(self, root: Path, *flags: str) -> None:
        self.root = root
        self.flags = flags
        self.url = ""
        self._port = "0"
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=30)

    def start(self, log: IO[bytes] | None = None) -> None:
        """Until it listens. What it logs goes to `log`."""
        flags = ["--root", str(self.root), "--port", self._port, *self.flags]
        self.process = subprocess.Popen(
            [*SIMIA, "serve", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if log is None else log,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("server"), line
        self.url = line.split()[1]
        self._port = self.url.rpartition(":")[2]

    def kill(self) -> None:
        """With SIGKILL."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)

    @property
    def token(self) -> str:
        """What clients must send."""
        return (self.root / "token").read_text().strip()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.token}", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                told, status = response.read(), response.status
        except urllib.error.HTTPError as error:
            told, status = error.read(), error.code
        return status, json.loads(told) if told else None


def until(condition: Any, seconds: float = 60) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
