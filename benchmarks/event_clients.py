"""What listeners cost a run: its CPU per 1,000 turns with 200 streams of its events (10 of which
never read) over that without any, in pairs that alternate.

    python -m benchmarks.event_clients [--pairs 3] [--conversations 2000] [--clients 200]
"""

import argparse
import asyncio
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path
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
    client = socket.create_connection((place.hostname, place.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET {place.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    client.sendall(request.encode())
    return client


async def measure(server: ServerProcess, conversations: int, clients: int) -> tuple[float, float]:
    """CPU seconds of the run's process per 1,000 turns, and MB of the server at its largest."""
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
        counts = [0] * clients
        silent = [never_read(url, server.token) for _ in range(SILENT if clients else 0)]
        headers = {"Authorization": f"Bearer {server.token}"}
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout
        ) as http:
            listeners = [
                asyncio.create_task(listen(http, url, counts, n))
                for n in range(max(0, clients - SILENT))
            ]
            cpu, largest = await follow(server, run)
            for listener in listeners:
                await listener
        for client in silent:
            client.close()
        database = server.root / "runs" / run.id / "run.db"
        with Reader(database) as reader:
            turns = reader.row_counts()["turns"]
            newest = reader.newest_event()
        assert all(count == newest for count in counts[: clients - SILENT]), "an event was missed"
        await run.delete()
        return 1000 * cpu / turns, largest


async def follow(server: ServerProcess, run: RemoteRun) -> tuple[float, float]:
    """CPU seconds of the run's process, and MB of the server, until the run has ended."""
    database, cpu, largest, asked = server.root / "runs" / run.id / "run.db", 0.0, 0.0, 0.0
    while True:
        pid = owner(database)
        cpu = max(cpu, cpu_s(pid)) if pid else cpu
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


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--conversations", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=200)
    given = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as place, ServerProcess(Path(place) / "root") as server:
        for pair in range(given.pairs):
            counts = [0, given.clients] if pair % 2 == 0 else [given.clients, 0]
            found = {n: await measure(server, given.conversations, n) for n in counts}
            (alone, idle_mb), (watched, mb) = found[0], found[given.clients]
            ratios.append(watched / alone)
            print(
                f"CPU-s per 1,000 turns: {alone:.3f} alone, {watched:.3f} with {given.clients} "
                f"clients: {ratios[-1]:.3f}; server {idle_mb:.0f} → {mb:.0f} MB",
                flush=True,
            )
    print(f"median {statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})")


if __name__ == "__main__":
    asyncio.run(main())
