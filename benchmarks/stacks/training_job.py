"""What both trainers are asked to do: two epochs over given samples, of which the first warms up.

Run as `python STACK.py MODEL SAMPLES SETTING PROFILED`: prints one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

EPOCHS, RANK, LEARNING_RATE = 2, 16, 4e-3


class Job:
    """The arguments of the command line."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.model = Path(sys.argv[1])
        self.samples: list[dict[str, list[int]]] = json.loads(Path(sys.argv[2]).read_text())
        self.setting: dict[str, Any] = json.loads(sys.argv[3])
        self._profiled = sys.argv[4] == "profiled"
        self._ends: list[tuple[float, float]] = []

    def epoch_ends(self) -> None:
        """To be called after each."""
        self._ends.append((time.process_time(), time.perf_counter()))

    def run(self, train: Callable[[], Any]) -> None:
        """Train and print the result."""
        profile = []
        if self._profiled:
            with torch.profiler.profile() as profiler:
                train()
            averages = profiler.key_averages()
            whole = sum(row.self_cpu_time_total for row in averages)
            costly = sorted(averages, key=lambda row: -row.self_cpu_time_total)[:8]
            profile = [(row.key, row.self_cpu_time_total / whole, row.count) for row in costly]
        else:
            train()
        (cpu, wall), (cpu_end, wall_end) = self._ends[0], self._ends[-1]
        tokens = sum(len(sample["ids"]) for sample in self.samples) * (EPOCHS - 1)
        result = {"tokens": tokens, "cpu_s": cpu_end - cpu, "wall_s": wall_end - wall}
        print(json.dumps({**result, "profile": profile}))
