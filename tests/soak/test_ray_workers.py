"""Workers in a real Ray cluster of several nodes on this machine, and nodes that die."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest

from simia_async.runs.rollout import run_rollouts
from simia_async.testing import Quota, ScriptedServer
from tests.killed_rollouts import SIMIA, look, rollout_command
from tests.worker_runs import check_same, check_within, config_for, kept_by, sent_by, until

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]

_CLUSTER = Path(__file__).parents[1] / "ray_cluster.py"
RPM = 600


class Cluster:
    """Nodes with a CPU each."""

    def __init__(self, address: str, lose: Callable[[], Awaitable[None]]) -> None:
        self.address = address
        self.lose_node = lose


@asynccontextmanager
async def cluster(nodes: int) -> AsyncIterator[Cluster]:
    quiet = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    process = await anyio.open_process(
        [sys.executable, str(_CLUSTER), str(nodes)], stderr=subprocess.DEVNULL, env=quiet
    )
    assert process.stdout is not None
    assert process.stdin is not None
    said = ""

    async def until_said(what: str) -> None:
        nonlocal said
        with anyio.fail_after(180):
            while what not in said or not said.endswith("\n"):
                said += (await process.stdout.receive()).decode()

    async def lose() -> None:
        nonlocal said
        said = ""
        await process.stdin.send(b"\n")
        await until_said("lost one")

    try:
        await until_said("address ")
        yield Cluster(said.split("address ")[1].split()[0], lose)
    finally:
        with anyio.CancelScope(shield=True):
            await process.stdin.aclose()
            with anyio.move_on_after(60):
                await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def run(command: list[str], meanwhile: Callable[[], Awaitable[None]]) -> dict[str, object]:
    """Run `simia` to its end; what it says."""
    async with await anyio.open_process(command) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = {"out": b"", "err": b""}

        async def read(name: str) -> None:
            async for data in process.stdout if name == "out" else process.stderr:
                told[name] += data

        async with anyio.create_task_group() as reading:
            reading.start_soon(read, "out")
            reading.start_soon(read, "err")
            await meanwhile()
        assert await process.wait() == 0, told["err"].decode()
        print(told["err"].decode())
        return {**json.loads(told["out"]), "said": told["err"].decode()}


async def test_rollouts_go_on_when_a_node_dies(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    quota = Quota(rpm=RPM)
    async with (
        ScriptedServer(latency=0.1, log=False) as calm,
        ScriptedServer(latency=0.1, quota=quota) as server,
        cluster(3) as ray,
    ):
        config = config_for(calm.base_url, tasks=30, group_size=4)
        await run_rollouts(config, whole, report=pytest.fail)
        command = rollout_command(server, killed, "mini-retail", tasks=30, group_size=4, workers=2)
        # One server is policy and world: each has half of what it allows.
        command += ["--ray", ray.address, "--rpm", str(RPM // 2), "--policy-rpm", str(RPM // 2)]

        async def lose_nodes() -> None:
            for turns in (60, 250):
                await until(lambda n=turns: sum(map(len, look(killed).turns.values())) > n, 300)
                await ray.lose_node()

        result = await run(command, lose_nodes)
        assert result["scored"] == 120
        check_same(whole, killed)
        calls = look(killed).calls
        lost = sum(call.status == "CutOff" for call in calls)
        assert lost > 0
        assert "was lost" in str(result["said"])
        seen = quota.statistics()
        print(f"{lost} calls lost; {seen}")
        assert seen.refused_for_requests <= 0.05 * seen.admitted
        arrived = sorted(each.arrived for each in server.log)
        for first, begun in enumerate(arrived):
            within = sum(1 for each in arrived[first:] if each - begun < 60)
            assert within <= RPM + RPM / 60
        check_within(sent_by(killed), RPM, RPM / 60 + 6)


async def test_what_is_kept_does_not_depend_on_nodes(tmp_path: Path) -> None:
    runs = {"here": tmp_path / "here.db", "ray": tmp_path / "ray.db"}
    async with ScriptedServer(latency=0.3, log=False) as server, cluster(3) as ray:
        for name, path in runs.items():
            command = [*SIMIA, "generate", "-n", "400", "--no-prefilter", "--json", "--similarity"]
            command += ["1", "--base-url", server.base_url, "--simulator-model", "world"]
            command += ["--api-key-env", "", "--max-in-flight", "16", "--run", str(path)]

            async def lose_node() -> None:
                await until(lambda: len(look(runs["ray"]).trajectories) > 60, 300)
                await ray.lose_node()

            async def nothing() -> None: ...

            if name == "ray":
                command += ["--ray", ray.address, "--workers", "2"]
            result = await run(command, lose_node if name == "ray" else nothing)
            assert result["kept"] == 400
    assert kept_by(runs["here"]) == kept_by(runs["ray"])


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    command = [*SIMIA, "generate", "-n", "4", "--no-prefilter", "--ray", "127.0.0.1:1", "--run"]
    done = subprocess.run(
        [*command, str(tmp_path / "n.db")], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert "--ray: found '127.0.0.1:1'; no Ray cluster is there" in done.stderr
    assert "Traceback" not in done.stderr
