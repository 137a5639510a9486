"""Starting the mock, and running the stacks against it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Mock:
    """A running mock."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()

    def summary(self) -> dict[str, Any]:
        """What it was asked since the last time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def mock(latency: str = "none", *, keep: bool = False) -> AbstractContextManager[Mock]:
    """The mock, until the context ends."""
    return running("mock.py", latency, "keep" if keep else "count")


@contextmanager
def running(script: str, *arguments: str) -> Iterator[Mock]:
    """A mock of its own, until the context ends."""
    command = [sys.executable, str(HERE / script), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Mock(process)
        assert process.stdin is not None
        process.stdin.close()


def run_stack(python: str, stack: str, *arguments: object) -> dict[str, float]:
    """One run of a stack in a fresh process; what it printed."""
    command = [python, str(HERE / "stacks" / f"{stack}.py"), *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"{stack} failed:\n{said.stderr[-2000:]}")
    result: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    return result
