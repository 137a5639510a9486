"""Trainers of several processes: which processes there are, and how far two adapters differ."""

from contextlib import suppress
from pathlib import Path

from safetensors.torch import load_file

from tests.proc import children

TORCHRUN = "torchrun --standalone --nproc-per-node 2"
_MODULE = "simia_async.training.worker"


def trainer_processes(launcher: int) -> dict[int, int]:
    """Rank to pid, of the processes that a launcher has started."""
    found = {}
    for pid, command in children(launcher).items():
        if _MODULE not in command:
            continue
        with suppress(OSError):  # it ended while we looked
            variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
            ranks = [each.removeprefix("RANK=") for each in variables if each.startswith("RANK=")]
            found.update({int(rank): pid for rank in ranks})
    return found


def largest_difference(one: Path, other: Path) -> float:
    """Between the weights of two adapters of the same shape."""
    weights, others = (load_file(each / "adapter_model.safetensors") for each in (one, other))
    assert weights.keys() == others.keys()
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)
