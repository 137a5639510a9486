"""A run of rollouts that is killed goes on in the middle of its conversations."""

from functools import partial
from pathlib import Path

import anyio

from simia_async.testing import ScriptedServer
from tests.killed_rollouts import (
    Kills,
    check_books,
    check_same_end,
    kill_and_go_on,
    look,
    rollout_command,
    session,
)
from tests.rollout_servers import until


async def when_asked(server: ScriptedServer, times: int) -> None:
    """Wait for so many more calls."""
    wanted = len(server.log) + times
    await until(lambda: len(server.log) >= wanted)


async def test_a_run_killed_twice_is_the_run_that_was_not(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed.db", tmp_path / "whole.db"
    size = {"tasks": 6, "group_size": 3, "concurrency": 8}
    async with (
        ScriptedServer(latency="lognormal:0.05,0.5") as server,
        ScriptedServer(latency="lognormal:0.02,0.5") as other,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(
                session, rollout_command(other, whole, "mini-airline", **size), Kills()
            )
            kills = await kill_and_go_on(
                rollout_command(server, killed, "mini-airline", **size),
                killed,
                [partial(when_asked, server, calls) for calls in (40, 60)],
            )
        check_books(server, look(killed), kills)
    check_same_end(killed, whole)
    assert look(killed).facts
    assert kills.went_on >= 3
