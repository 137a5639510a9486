"""What listeners cost a run: CPU of its process per 1,000 turns with 200 streams of its events, 10
of which never read, over that without any, in pairs whose order alternates; and memory of the
server.

    python -m benchmarks.event_clients [--pairs 4] [--conversations 2000] [--clients 200]

CPU is counted from where the process owns its run, so that imports are not spread over the turns.
Listeners run in the process of this script; every one that reads must get every event.
"""

import argparse
import asyncio
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from simia_store import Reader, StoreError

import simia_async
from simia_async.serving.client import RemoteRun
from tests.servers import ServerProcess

SILENT = 10
"""Clients that ask and never read."""
_TICKS = os.sysconf("SC_CLK_TCK")


async def listen(http: aiohttp.ClientSession, url: str, counts: list[int], mine: int) -> None:
    """Read a stream to its end."""
    async with http.get(url) as response:
        async for line in response.content:
            counts[mine] += line.startswith(b"id:")


def never_read(url: str, token: str) -> socket.socket:
    """A client that asks and never reads."""
    place = urlsplit(url)
    client = socket.socket()
    # Before it connects: afterwards the kernel has offered more already.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((place.hostname, place.port))
    request = f"GET {place.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    client.sendall(request.encode())
    return client


class Measured(NamedTuple):
    """What one run came to."""

    cpu_s: float
    """Of its process, per 1,000 turns."""
    turns: int
    events: int
    wall_s: float
    server_mb: float
    """The server at its largest."""


async def measure(server: ServerProcess, conversations: int, clients: int) -> Measured:
    """Play a run with so many listeners."""
    async with simia_async.connect(server.url, token=server.token) as remote:
        run = await remote.submit(
            "rollout",
            environment="mini-airline",
            policy={"model": "scripted-agent"},
            tasks=conversations // 2,
            group_size=2,
            concurrency=conversations,
        )
        url = f"{server.url}/v1/runs/{run.id}/events"
        counts = [0] * max(0, clients - SILENT)
        silent = [never_read(url, server.token) for _ in range(SILENT if clients else 0)]
        headers = {"Authorization": f"Bearer {server.token}"}
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        begun = time.monotonic()
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout
        ) as http:
            listeners = [
                asyncio.create_task(listen(http, url, counts, n)) for n in range(len(counts))
            ]
            cpu, largest = await follow(server, run)
            wall_s = time.monotonic() - begun
            await asyncio.gather(*listeners)
        for client in silent:
            client.close()
        database = server.root / "runs" / run.id / "run.db"
        with Reader(database) as reader:
            turns = reader.row_counts()["turns"]
            newest = reader.newest_event()
        assert (await run.view()).state == "done"
        assert all(count == newest for count in counts), "an event was missed"
        await run.delete()
        return Measured(1000 * cpu / turns, turns, newest, wall_s, largest)


async def follow(server: ServerProcess, run: RemoteRun) -> tuple[float, float]:
    """CPU seconds of the run's process since it owned it, and MB of the server, until the run has
    ended.
    """
    database = server.root / "runs" / run.id / "run.db"
    pid, at_first, cpu, largest, asked = None, 0.0, 0.0, 0.0, 0.0
    while True:
        if pid is None and (pid := owner(database)) is not None:
            at_first = cpu_s(pid)
        if pid is not None:
            cpu = max(cpu, cpu_s(pid) - at_first)
        assert server.process is not None
        largest = max(largest, resident_mb(server.process.pid))
        if time.monotonic() - asked > 1:
            if (await run.view()).state.is_over:
                return cpu, largest
            asked = time.monotonic()
        await asyncio.sleep(0.02)


def owner(database: Path) -> int | None:
    """The process that owns a run."""
    try:
        with Reader(database) as reader:
            sessions = reader.sessions()
    except StoreError:
        return None
    return sessions[-1].pid if sessions else None


def cpu_s(pid: int) -> float:
    """What a process has used; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


_ROW = "{:>4}  {:>9}  {:>10}  {:>14}  {:>6}  {:>7}  {:>6}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--conversations", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=200)
    given = parser.parse_args()
    ratios, memory = [], []
    print(_ROW.format("pair", "listeners", "CPU-s/1000", "turns (events)", "wall s", "server", ""))
    with tempfile.TemporaryDirectory() as place, ServerProcess(Path(place) / "root") as server:
        for pair in range(given.pairs):
            found: dict[int, Measured] = {}
            for clients in [0, given.clients] if pair % 2 == 0 else [given.clients, 0]:
                found[clients] = told = await measure(server, given.conversations, clients)
                counted = f"{told.turns} ({told.events})"
                cpu, wall, memory_mb = f"{told.cpu_s:.3f}", f"{told.wall_s:.1f}", told.server_mb
                figures = (cpu, counted, wall, f"{memory_mb:.0f} MB")
                print(_ROW.format(pair + 1, clients, *figures, ""), flush=True)
            ratios.append(found[given.clients].cpu_s / found[0].cpu_s)
            memory.append(found[given.clients].server_mb)
            print(_ROW.format(pair + 1, "", "", "", "", "ratio", f"{ratios[-1]:.3f}"), flush=True)
    spread = f"({min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} pairs)"
    print(f"CPU of the run with {given.clients} listeners, {SILENT} of which never read, over that")
    print(f"with none: median {statistics.median(ratios):.3f} {spread}; to hold: at most 1.05")
    print(f"memory of the server: {memory[0]:.0f} MB in the first pair, {max(memory):.0f} at most")


if __name__ == "__main__":
    asyncio.run(main())
