"""A run of rollouts that is killed goes on in the middle of its conversations."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from simia_store import Reader

from simia_async.builtin.server.protocol import ChatRequest
from simia_async.config import RolloutConfig
from simia_async.errors import UsageError
from simia_async.rollouts.stop_reason import StopReason
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
from tests.rollout_servers import (
    CANCELLING,
    Playhouse,
    calls_of,
    config_at,
    playhouse,
    roll,
    turns_of,
    until,
)


@pytest.fixture
async def house() -> AsyncIterator[Playhouse]:
    async with playhouse() as opened:
        yield opened


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


async def cut_off_when_asked(house: Playhouse, role: str, config: RolloutConfig, run: Path) -> None:
    """Play, until a role is asked for the first time."""
    with anyio.CancelScope() as scope:

        async def cut(_: ChatRequest) -> None:
            scope.cancel()
            await anyio.sleep(0.001)

        house.instead[role] = cut
        await roll(config, run, tasks=[CANCELLING])
    assert scope.cancelled_caught
    house.instead.clear()


@pytest.mark.parametrize("role", ["tool", "judge"])
async def test_a_conversation_that_goes_on_has_no_more_room_than_it_had(
    house: Playhouse, tmp_path: Path, role: str
) -> None:
    unlimited, whole, run = (tmp_path / f"{name}.db" for name in ("unlimited", "whole", "r"))
    await roll(config_at(house), unlimited, tasks=[CANCELLING])
    spoken = [call for call in calls_of(unlimited) if call.role == "policy"]
    assert len(spoken) == 3
    # Its second turn fits, and then nothing more does.
    limited = config_at(house, context=spoken[1].tokens_in + spoken[1].tokens_out)

    await roll(limited, whole, tasks=[CANCELLING])
    await cut_off_when_asked(house, role, limited, run)
    house.asked.clear()
    result = await roll(limited, run, tasks=[CANCELLING])
    assert result.stops == {StopReason.CONTEXT_FULL: 1}
    assert house.asked["policy"] == 0
    assert turns_of(run) == turns_of(whole)


async def test_a_run_goes_on_with_no_fewer_tasks_than_have_begun(
    house: Playhouse, tmp_path: Path
) -> None:
    run = tmp_path / "r.db"
    with anyio.CancelScope() as scope:

        async def cut(_: ChatRequest) -> None:
            if house.asked["policy"] == 5:
                scope.cancel()
            await anyio.sleep(0.001)

        house.instead["policy"] = cut
        await roll(config_at(house, tasks=4, concurrency=4), run)
    assert scope.cancelled_caught
    house.instead.clear()

    with pytest.raises(UsageError, match="its group 3 has begun and not ended; name at least 3"):
        await roll(config_at(house, tasks=2, concurrency=4), run)
    all_of_them = await roll(config_at(house, tasks=4, concurrency=4), run)
    assert (all_of_them.wanted, all_of_them.rollouts, all_of_them.scored) == (4, 4, 4)
    with Reader(run) as reader:
        assert [each.reward for each in reader.trajectories()] == [1.0] * 4
