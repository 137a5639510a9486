"""The server's log: a JSON line for each thing that happened, on standard error."""

import logging
import sys
import time
import traceback
from typing import Any, Protocol

import msgspec
from aiohttp.http_exceptions import HttpProcessingError


class Log(Protocol):
    """Notes that something happened."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """`fields` say what it happened to; never a token, a key or a body."""


def log_lines(event: str, /, **fields: Any) -> None:
    """Write it as a line."""
    told = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **fields}
    sys.stderr.write(msgspec.json.encode(told).decode() + "\n")
    sys.stderr.flush()


class LogLines(logging.Handler):
    """Notes what a library logs as a line of ours: with its traceback where that is our fault, and
    without where it is a client's.
    """

    def __init__(self, log: Log = log_lines) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write it as a line."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._log("refused", status=error.code, reason=type(error).__name__)
        else:
            told = "".join(traceback.format_exception(error)) if error else ""
            self._log("failed", reason=record.getMessage(), traceback=told)


def library_logger() -> logging.Logger:
    """For aiohttp's server. It stands alone: nothing else is logged by it, nor it by others."""
    logger = logging.Logger("simia-serve", logging.WARNING)
    logger.addHandler(LogLines())
    return logger
