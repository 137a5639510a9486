"""Runs a command that knows nothing of us, and ends it when whoever started it is gone.

    python -m simia_async.supervision.tether FD COMMAND …

`FD` is the reading end of a pipe that its owner holds open. The owner starts it in a session of its
own, so that what the command has started ends with it.
"""

import os
import signal
import subprocess
import sys
import threading
import time

_GRACE_S = 5.0


def _end_with_owner(owner: int) -> None:
    """Wait until the owner's end of the pipe is closed, whatever closed it."""
    os.read(owner, 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """The code that the command ended with; 128 and the signal, if one ended it."""
    owner, command = int(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command)  # noqa: S603 (its owner's words, not a shell's)
    # It stays to see the command end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_owner, args=(owner,), daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
