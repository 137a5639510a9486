"""How a process ended, in words."""

import signal


def how_it_ended(code: int) -> str:
    """What an exit code says, as `subprocess` gives it: below 0 it is a signal."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with {code}"
