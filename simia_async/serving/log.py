"""The server's log: a JSON line for each thing that happened, on standard error."""

import sys
import time
from typing import Any, Protocol

import msgspec


class Log(Protocol):
    """Notes that something happened."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """`fields` say what it happened to; never a token, a key or a body."""


def log_lines(event: str, /, **fields: Any) -> None:
    """Write it as a line."""
    told = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **fields}
    sys.stderr.write(msgspec.json.encode(told).decode() + "\n")
    sys.stderr.flush()
