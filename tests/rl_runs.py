"""RL runs in a process of their own, which can be killed, and what the record shows of them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from simia_store import GroupRecord, Reader, StoreError, TurnRecord

import simia_async

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]


class RlProcess:
    """`simia train rl` on a database."""

    def __init__(self, database: Path, *flags: str) -> None:
        self.database = database
        self.process = subprocess.Popen(
            [*SIMIA, "train", "rl", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until(self, condition: Callable[[Reader], bool], seconds: float = 100) -> bool:
        """Whether it came to be before the process ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return False
            try:
                with Reader(self.database) as reader:
                    if condition(reader):
                        return True
            except StoreError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds} s in vain")

    def kill(self, pid: int | None = None) -> None:
        """The owner, or another process of its."""
        os.kill(pid or self.process.pid, signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """Exit code, and what was said, on one line."""
        _, stderr = self.process.communicate(timeout=110)
        return self.process.returncode, " ".join(stderr.split())


def tuned_adapter(place: Path) -> Path:
    """What SFT by default makes of the tiny base."""
    return asyncio.run(simia_async.train_sft(run=place / "sft.db")).adapter


def trained_steps(database: Path) -> list[int]:
    """Steps whose loss is stored; a step that stands there twice was trained twice."""
    with Reader(database) as reader:
        return [metric.step for metric in reader.metrics("train/loss")]


def groups_of(database: Path) -> dict[int, GroupRecord]:
    """By number."""
    with Reader(database) as reader:
        return {group.id: group for group in reader.all(GroupRecord)}


def sampled_ids(database: Path) -> dict[int, list[list[int]]]:
    """The token ids of every turn of the policy, by rollout."""
    with Reader(database) as reader:
        return {
            rollout.id: [turn.token_ids for turn in reader.turns(rollout.id) if turn.token_ids]
            for rollout in reader.trajectories()
        }


def published(database: Path) -> list[bytes]:
    """The weights of every adapter, in their order."""
    with Reader(database) as reader:
        places = [Path(adapter.path) for adapter in reader.adapters()]
    return [(place / "adapter_model.safetensors").read_bytes() for place in places]


def check_sound(database: Path, steps: int, groups: int, size: int) -> None:
    """Every step was taken once, on whole groups, each on one version that was not too old."""
    assert trained_steps(database) == list(range(1, steps + 1))
    found = groups_of(database)
    assert Counter(group.step for group in found.values()) == dict.fromkeys(
        range(1, steps + 1), groups
    )
    with Reader(database) as reader:
        for group in found.values():
            assert len(group.rewards) == size
            rollouts = list(reader.trajectories(group_id=group.id))
            assert {rollout.policy_version for rollout in rollouts} == {group.policy_version}
            for rollout in rollouts:
                check_order(reader.turns(rollout.id))


def check_order(turns: Sequence[TurnRecord]) -> None:
    """No turn is missing, and none stands there twice."""
    assert [turn.position for turn in turns] == list(range(len(turns)))
