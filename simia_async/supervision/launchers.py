"""Commands that start a child in several processes, such as torchrun."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from simia_async.errors import UsageError


def read_launcher(text: str | None) -> tuple[str, ...]:
    """The words of `--launch`, the first of them a program that there is: beside this Python, else
    on the path. No shell sees them. None is none.

    Raises `UsageError`.
    """
    if text is None:
        return ()
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--launch: found {text!r}: {error}") from error
    if not words:
        raise UsageError("--launch: found no command; expected one such as torchrun")
    program = shutil.which(words[0], path=os.pathsep.join([_here(), os.environ.get("PATH", "")]))
    if program is None:
        raise UsageError(
            f"--launch: found {words[0]!r}, which is no program here; expected a launcher such as "
            "torchrun or accelerate launch"
        )
    return (program, *words[1:])


def _here() -> str:
    """Where the programs of this Python's packages are."""
    return str(Path(sys.executable).parent)
