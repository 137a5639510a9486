"""Processes of a launched trainer killed with -9: who ended is said, nobody lives on, and the run
goes on with another number of processes.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from simia_store import Reader, RunStatus, StoreError

pytest.importorskip("torch")

from simia_async.training.sft import train_sft
from tests.launched_trainers import TORCHRUN, largest_difference, trainer_processes
from tests.proc import wait_until_gone
from tests.sft_runs import SMALL, make_data

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

SIMIA = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
LONG = replace(SMALL, epochs=40)
"""So that there is time to kill it."""
THREE = "torchrun --standalone --nproc-per-node 3"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(make_data(tmp_path_factory.mktemp("data")))


class SftProcess:
    """`simia train sft` in a process of its own."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [*SIMIA, "train", "sft", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.launcher = 0
        self.ranks: dict[int, int] = {}

    @property
    def pids(self) -> list[int]:
        return [self.process.pid, self.launcher, *self.ranks.values()]

    def wait_until(self, condition: Callable[[], bool], seconds: float = 200) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.05)

    def find(self, count: int) -> bool:
        """Whether all of its processes are there, which are then known."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in map(int, children.read_text().split()):
            ranks = trainer_processes(pid)
            if len(ranks) == count:
                self.launcher, self.ranks = pid, ranks
                return True
        return False

    def end(self) -> tuple[int, str]:
        """Exit code, and what was said, on one line."""
        _, stderr = self.process.communicate(timeout=200)
        return self.process.returncode, " ".join(stderr.split())


def last_step(run: Path) -> int:
    try:
        with Reader(run) as reader:
            return max((each.step for each in reader.metrics("train/loss")), default=0)
    except StoreError:
        return 0


def start(data: Path, run: Path, launch: str = TORCHRUN, epochs: int = LONG.epochs) -> SftProcess:
    settings = {"--epochs": epochs, "--tokens-per-batch": LONG.tokens_per_batch}
    settings |= {"--lora-rank": LONG.lora_rank, "--checkpoint-every": LONG.checkpoint_every}
    flags = [part for flag, value in settings.items() for part in (flag, str(value))]
    return SftProcess("--data", str(data), "--run", str(run), *flags, "--launch", launch)


def kill_first(trainer: SftProcess, run: Path, step: int, count: int) -> None:
    """Once the run has come to a step."""
    trainer.wait_until(lambda: trainer.find(count))
    trainer.wait_until(lambda: last_step(run) >= step)
    os.kill(trainer.ranks[0], signal.SIGKILL)
    assert trainer.end()[0] == 3


@pytest.mark.parametrize("who", ["first", "last", "launcher"])
def test_who_ended_is_said_and_nobody_lives_on(data: Path, tmp_path: Path, who: str) -> None:
    run = tmp_path / "s.db"
    trainer = start(data, run, THREE)
    trainer.wait_until(lambda: trainer.find(3))
    trainer.wait_until(lambda: last_step(run) >= 4)
    killed = {"first": trainer.ranks[0], "last": trainer.ranks[2], "launcher": trainer.launcher}[
        who
    ]
    os.kill(killed, signal.SIGKILL)
    code, said = trainer.end()
    wait_until_gone(trainer.pids)
    assert code == 3, said
    name = {"first": "trainer process 0", "last": "trainer process 2"}.get(who, "the launcher")
    assert f"{name} (pid {killed}) was killed by SIGKILL; go on with: simia train sft" in said
    assert "Traceback" not in said
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.FAILED


BROKEN = """
import os
if os.environ.get("RANK") == "1":
    import torch
    def step(optimizer):
        raise RuntimeError("no more steps")
    torch.optim.AdamW.step = step
"""


def test_the_last_words_of_one_that_fails(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other waits for it in vain meanwhile, and fails of that later."""
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trainer = start(data, tmp_path / "s.db")
    trainer.wait_until(lambda: trainer.find(2))
    code, said = trainer.end()
    wait_until_gone(trainer.pids)
    assert code == 3
    words = f"process 1 (pid {trainer.ranks[1]}) failed: RuntimeError: no more steps; go on with"
    assert words in said


@pytest.mark.parametrize("moment", ["starting", "training"])
def test_nobody_outlives_the_owner(data: Path, tmp_path: Path, moment: str) -> None:
    run = tmp_path / "s.db"
    trainer = start(data, run)
    trainer.wait_until(lambda: trainer.find(2))
    if moment == "training":
        trainer.wait_until(lambda: last_step(run) >= 4)
    trainer.process.kill()
    trainer.process.communicate()
    wait_until_gone(trainer.pids, seconds=90)


def test_one_that_ends_while_all_start_is_said(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "s.db"
    trainer = start(data, run)
    trainer.wait_until(lambda: trainer.find(2))
    os.kill(trainer.ranks[1], signal.SIGKILL)
    code, said = trainer.end()
    wait_until_gone(trainer.pids)
    assert code == 2
    killed = f"trainer process 1 (pid {trainer.ranks[1]}) was killed by SIGKILL"
    assert f"--launch: the trainer did not begin: {killed}" in said
    assert not run.exists()


def test_a_polite_request_ends_all(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "s.db"
    trainer = start(data, run)
    trainer.wait_until(lambda: trainer.find(2))
    trainer.wait_until(lambda: last_step(run) >= 4)
    trainer.process.terminate()
    code, said = trainer.end()
    assert code == 130, said
    wait_until_gone(trainer.pids, seconds=2)


def test_it_goes_on_with_other_numbers_of_processes(data: Path, tmp_path: Path) -> None:
    """Two, killed; then three, killed; then one."""
    config = replace(LONG, epochs=12)
    train_sft(config, [data], tmp_path / "whole", lambda _: None)
    run, out = tmp_path / "s.db", tmp_path / "s-adapters"
    trainer = start(data, run, epochs=12)
    for step, count in ((8, 2), (20, 3)):
        kill_first(trainer, run, step, count)
        launch = THREE if count == 2 else ""
        trainer = SftProcess("--resume", str(run), "--launch", launch)
    code, said = trainer.end()
    assert code == 0, said
    # As in tests/test_training_launch.py, over some more steps.
    difference = largest_difference(tmp_path / "whole" / "v00001", out / "v00001")
    assert difference < 0.05 * config.learning_rate
