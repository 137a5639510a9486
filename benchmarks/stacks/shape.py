"""What every stack is asked to do: conversations whose history grows with every reply.

Run as `python STACK.py URL CONVERSATIONS CALLS HISTORY`: prints one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable

TEXT = "The simulated environment returned a result and the agent should now continue. " * 6
PARAMETERS = {"temperature": 1.0, "max_tokens": 1024}


class Job:
    """The arguments of the command line."""

    def __init__(self) -> None:
        self.url = sys.argv[1]
        self.conversations, self.calls, self.history = map(int, sys.argv[2:5])

    def opening(self) -> list[dict[str, str]]:
        """The history that a conversation begins with."""
        roles = ("user", "assistant")
        turns = [{"role": roles[k % 2], "content": TEXT} for k in range(self.history)]
        return [{"role": "system", "content": TEXT}, *turns]

    def report(self, cpu_s: float, wall_s: float, **more: float) -> None:
        """Print the result."""
        calls = self.conversations * self.calls
        print(json.dumps({"calls": calls, "cpu_s": cpu_s, "wall_s": wall_s, **more}))


def stopwatch() -> Callable[[], tuple[float, float]]:
    """CPU and wall seconds since now, of this process and all its threads."""
    cpu, wall = time.process_time(), time.perf_counter()
    return lambda: (time.process_time() - cpu, time.perf_counter() - wall)
