"""The processes that train one model together: sums over all of them, by torch.distributed."""

import os
from collections.abc import Mapping
from datetime import timedelta

import msgspec
import torch
import torch.distributed as dist

from simia_async.errors import UsageError

_LONGEST_WAIT = timedelta(minutes=30)
"""For the others of a sum. It bounds how long one that hangs holds all up; reading a large base
may take some processes minutes longer than others.
"""


class Processes(msgspec.Struct, frozen=True):
    """One of `count` processes on this machine, which do the same with different samples."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes to disk and talks to the owner."""
        return self.rank == 0

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """Element by element over all processes; the same bits in each. `values` is changed."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def sum(self, value: float) -> float:
        """Of one number a process."""
        if self.count == 1:
            return value
        return float(self.sums(torch.tensor([value], dtype=torch.double)))

    def joined(self, values_n: torch.Tensor) -> torch.Tensor:
        """What each process has, one after the other: (N₀ + N₁ + …)."""
        if self.count == 1:
            return values_n
        lengths = torch.zeros(self.count, dtype=torch.long)
        lengths[self.rank] = len(values_n)
        *before, total = [0, *self.sums(lengths).cumsum(0).tolist()]
        whole = values_n.new_zeros(total)
        whole[before[self.rank] : before[self.rank] + len(values_n)] = values_n
        return self.sums(whole)

    def told(self, text: str) -> str:
        """What the first process says, in all of them; at most 512 characters of ASCII."""
        if self.count == 1:
            return text
        codes = torch.zeros(512, dtype=torch.uint8)
        if self.is_first:
            codes[: len(text)] = torch.tensor(list(text.encode("ascii")), dtype=torch.uint8)
        return bytes(self.sums(codes).tolist()).rstrip(b"\0").decode("ascii")

    def wait_for_all(self) -> None:
        """Until every process has come here."""
        self.sum(0.0)


ALONE = Processes()


def join_processes(environment: Mapping[str, str] = os.environ) -> Processes:
    """Meet the others that the launcher started; sums are gloo's on the CPU and NCCL's on CUDA.

    What the launcher says is in the environment as torchrun puts it there
    (https://docs.pytorch.org/docs/stable/elastic/run.html). Raises `UsageError` if it says nothing,
    or that there are other machines.
    """
    try:
        rank, count, here = (
            int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        )
    except (KeyError, ValueError) as error:
        raise UsageError(
            "--launch: what it names started the trainer without telling it which of how many "
            "processes it is; expected torchrun, or accelerate launch for several processes"
        ) from error
    if here != count:
        raise UsageError(
            f"--launch: found {count} processes, {here} of them on this machine; expected all of "
            "them here"
        )
    if count > 1:
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=_LONGEST_WAIT)
    return Processes(rank, count)
