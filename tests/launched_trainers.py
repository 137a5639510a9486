"""Trainers of several processes: which processes there are, and how far two adapters differ."""

import time
from pathlib import Path

from safetensors.torch import load_file

TORCHRUN = "torchrun --standalone --nproc-per-node 2"
_MODULE = b"simia_async.training.worker"


def trainer_processes(launcher: int) -> dict[int, int]:
    """Rank to pid, of the processes that a launcher has started."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent != launcher or _MODULE not in (entry / "cmdline").read_bytes():
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue  # it ended while we looked
        ranks = [each.removeprefix(b"RANK=") for each in variables if each.startswith(b"RANK=")]
        found.update({int(rank): int(entry.name) for rank in ranks})
    return found


def are_running(pids: list[int]) -> list[int]:
    """Those of them that are there and no zombies."""
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.append(pid)
    return running


def wait_until_gone(pids: list[int], seconds: float = 30) -> None:
    """Fail if one of them stays."""
    until = time.monotonic() + seconds
    while running := are_running(pids):
        assert time.monotonic() < until, f"{running} live on"
        time.sleep(0.05)


def largest_difference(one: Path, other: Path) -> float:
    """Between the weights of two adapters of the same shape."""
    weights, others = (load_file(each / "adapter_model.safetensors") for each in (one, other))
    assert weights.keys() == others.keys()
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)
