"""A server among people of ill will."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.hostile_requests import hostile
from tests.servers import ServerProcess, until

pytest.importorskip("prometheus_client")

CANARY = "sk-canary-0123456789abcdef"


async def assail(server: ServerProcess, count: int, seed: int) -> dict[int, int]:
    """How often each status was answered."""
    statuses: dict[int, int] = {}
    body = {"kind": "generate", "settings": {"n": 1}}
    run = server.ask("POST", "/v1/runs", body)[1]["id"]
    until(lambda: server.ask("GET", f"/v1/runs/{run}")[1]["state"] == "done")
    headers = {"Authorization": f"Bearer {server.token}"}
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        for method, path, body, more in hostile(count, seed, run):
            url = URL(server.url + path, encoded=True)
            try:
                async with http.request(method, url, data=body, headers=more) as response:
                    statuses[response.status] = statuses.get(response.status, 0) + 1
                    if response.status < 400 and path.partition("?")[0].endswith("/events"):
                        continue
                    told = await response.read()
                    assert CANARY.encode() not in told
                    if response.status == 429:
                        await asyncio.sleep(1)
            except (aiohttp.ClientConnectionError, aiohttp.InvalidURL, ValueError):
                statuses[0] = statuses.get(0, 0) + 1
    return statuses


def entries(place: Path) -> set[Path]:
    return set(place.rglob("*"))


def check(server: ServerProcess, statuses: dict[int, int], outside: set[Path]) -> None:
    """Nothing broke, and nothing lies where it should not."""
    print(statuses)
    assert not [status for status in statuses if status >= 500 and status != 503]
    # It may still say that it was asked too often.
    until(lambda: server.ask("GET", "/healthz")[0] == 200)
    root = server.root
    beyond = {path for path in entries(root.parent) if root not in (path, *path.parents)}
    assert beyond == outside
    assert {path.name for path in root.iterdir()} <= {"runs", "uploads", "token"}
    for path in entries(root):
        assert not path.is_symlink()
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes()


async def test_nothing_breaks_and_nothing_is_touched_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    with ServerProcess(tmp_path / "root", "--parallel", "1", "--queue", "3") as server:
        check(server, await assail(server, 400, 1), set())
