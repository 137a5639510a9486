"""How many threads one operation of torch is spread over."""

import os

import torch


def set_threads(asked: int | None) -> None:
    """`asked` threads, 0 being one for each CPU; by default as many as `OMP_NUM_THREADS` says, or
    one for each CPU but one.

    An engine is one of several processes of a run. Threads of torch that wait for each other spin,
    so one more of them than there are free CPUs makes every operation many times slower.
    """
    if asked is not None:
        torch.set_num_threads(asked or _cpus())
    elif not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(max(1, _cpus() - 1))


def _cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
