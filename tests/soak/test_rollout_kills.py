"""A long run of rollouts, killed thirty times at random moments."""

import os
import random
from functools import partial
from pathlib import Path

import anyio
import pytest

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

pytestmark = pytest.mark.soak


async def test_a_run_killed_thirty_times_is_the_run_that_was_not(tmp_path: Path) -> None:
    rng = random.Random(os.environ.get("SIMIA_SOAK_SEED", "0"))
    moments = [4.0, *(rng.uniform(0.3, 5.0) for _ in range(29))]
    killed, whole = tmp_path / "killed.db", tmp_path / "whole.db"
    size = {"tasks": 32, "group_size": 4, "concurrency": 16}
    latency, twin = "lognormal:1.0,0.5", Kills()
    async with ScriptedServer(latency=latency) as server, ScriptedServer(latency=latency) as other:
        async with anyio.create_task_group() as group:
            quiet = rollout_command(other, whole, "mini-airline", **size)
            group.start_soon(session, quiet, twin)
            kills = await kill_and_go_on(
                rollout_command(server, killed, "mini-airline", **size),
                killed,
                [partial(anyio.sleep, moment) for moment in moments],
            )
        end = look(killed)
        check_books(server, end, kills)
    check_same_end(killed, whole)
    assert twin.last_s >= 60
    assert kills.went_on > 30
    print(
        f"{len(end.trajectories)} conversations, {sum(map(len, end.turns.values()))} turns, "
        f"{len(end.facts)} facts; {kills.count} kills cut {kills.cut_off} conversations off, "
        f"{kills.went_on} of them went on with all their turns; without a kill it took "
        f"{twin.last_s:.1f} s"
    )
