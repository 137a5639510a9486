"""Runs killed again and again: what was committed stays, and the run comes to its end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from simia_store import Reader, RunStatus, StoreError, TrajectoryStatus

pytestmark = pytest.mark.soak

KILLS = 30
WANTED = 20_000


def committed(run: Path) -> set[int]:
    try:
        with Reader(run) as reader:
            return {trajectory.id for trajectory in reader.trajectories()}
    except StoreError:
        return set()


def test_generation_survives_many_kills(tmp_path: Path) -> None:
    run = tmp_path / "g.db"
    command = [sys.executable, "-c", "from simia_async.cli.main import main; main()"]
    command += ["generate", "-n", str(WANTED), "--run", str(run)]
    rng = random.Random(0)
    before: set[int] = set()
    for _ in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 3.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        after = committed(run)
        assert before <= after, "a committed trajectory is gone"
        before = after
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.DONE
        assert before <= {trajectory.id for trajectory in reader.trajectories()}
        kept = list(reader.trajectories(status=TrajectoryStatus.KEPT))
        assert len(kept) == WANTED
        assert all(reader.turns(trajectory.id) for trajectory in kept)
