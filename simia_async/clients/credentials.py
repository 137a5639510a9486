"""The key of an endpoint, read from the environment when it is needed and kept nowhere else."""

import os

from simia_async.errors import UsageError


def read_key(variable: str) -> str | None:
    """The key in this environment variable; None where it is not set (local servers need none).

    Raises `UsageError` if it holds what no HTTP header can.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{variable}: holds characters that no key has")
    return key or None
