"""Server, runs and clients killed at random while ten submitted runs are done."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from simia_store import Reader, RunStatus

from tests.servers import ServerProcess

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

RUNS, KILLS, N = 10, 40, 5000

CLIENT = """
import asyncio, sys
import simia_async

async def main(url, token, number):
    async with simia_async.connect(url, token=token) as server:
        run = await server.submit("generate", key=f"run-{number}", n=int(sys.argv[4]), seed=number)
        async for _ in run.events():
            pass

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def owners(root: Path) -> list[int]:
    """Processes that do runs now."""
    found = []
    for lock in root.glob("runs/*/run.db.lock"):
        with suppress(ValueError):
            pid = int(lock.read_text())
            if "job_process" in _command(pid):
                found.append(pid)
    return found


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def test_all_are_done_and_each_once(tmp_path: Path) -> None:
    rng = random.Random(1)
    server = ServerProcess(tmp_path / "root", "--parallel", "3")
    server.start()
    clients: dict[int, subprocess.Popen[bytes]] = {}
    finished: set[int] = set()
    killed = {"server": 0, "run": 0, "client": 0}
    until = time.monotonic() + 800
    while len(finished) < RUNS:
        assert time.monotonic() < until, killed
        for number in set(range(RUNS)) - finished:
            client = clients.get(number)
            if client is None or client.poll() not in (None, 0):
                clients[number] = subprocess.Popen(
                    [sys.executable, "-c", CLIENT, server.url, server.token, str(number), str(N)],
                    stderr=subprocess.DEVNULL,
                )
            elif client.poll() == 0:
                finished.add(number)
        time.sleep(rng.uniform(0.2, 1.0))
        if sum(killed.values()) < KILLS:
            _kill(rng, server, clients, killed)
    server.kill()
    _check(server, killed)


def _kill(
    rng: random.Random,
    server: ServerProcess,
    clients: dict[int, subprocess.Popen[bytes]],
    killed: dict[str, int],
) -> None:
    """One of the three, whichever chance picks."""
    victim = rng.choice(["server", "run", "run", "run", "client"])
    if victim == "server":
        server.kill()
        time.sleep(rng.uniform(0, 0.5))
        server.start()
    elif victim == "run":
        alive = owners(server.root)
        if not alive:
            return
        with suppress(ProcessLookupError):
            os.kill(rng.choice(alive), signal.SIGKILL)
    else:
        client = rng.choice(list(clients.values()))
        client.kill()
        client.wait()
    killed[victim] += 1


def _check(server: ServerProcess, killed: dict[str, int]) -> None:
    print(killed)
    assert min(killed.values()) > 0
    with server:
        runs = server.ask("GET", "/v1/runs")[1]["runs"]
    assert [run["state"] for run in runs] == ["done"] * RUNS
    assert sorted(run["settings"]["seed"] for run in runs) == list(range(RUNS))
    for run in runs:
        with Reader(server.root / "runs" / run["id"] / "run.db") as reader:
            record = reader.run()
            assert record is not None
            assert record.status == RunStatus.DONE
            kept = sum(o.count for o in reader.outcomes() if o.status == "kept")
            assert kept == N
            ids = [trajectory.id for trajectory in reader.trajectories()]
            assert len(ids) == len(set(ids))
