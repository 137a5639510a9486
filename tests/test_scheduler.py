"""How many conversations are under way, whose turn it is, and what a cancellation leaves behind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simia_store import (
    CANCEL,
    CONCURRENCY,
    PAUSE,
    RESUME,
    CommandStatus,
    Reader,
    RunStatus,
    StatisticsRecord,
    TrajectoryRecord,
    TrajectoryStatus,
)

import simia_async
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.server.protocol import ChatRequest
from simia_async.builtin.templates import TEMPLATES, draw_task
from simia_async.clients import Spending
from simia_async.config import Budget
from simia_async.environments import load_environment
from simia_async.environments.tool_effects import ToolEffect
from simia_async.rollouts.scheduler import Scheduler
from simia_async.rollouts.stop_reason import StopReason
from simia_async.runs.rollout_tally import RolloutProgress
from simia_async.simulation.prompts import read_sections
from tests.rollout_servers import (
    Playhouse,
    calls_of,
    command,
    config_at,
    once_held,
    playhouse,
    roll,
    turns_of,
    until,
)

Placed = Callable[[], None]


@pytest.fixture
async def house() -> AsyncIterator[Playhouse]:
    async with playhouse() as opened:
        yield opened


def trajectories_of(run: Path) -> list[TrajectoryRecord]:
    with Reader(run) as reader:
        return list(reader.trajectories())


def most_at_once(trajectories: list[TrajectoryRecord]) -> int:
    """The largest number of conversations that were under way at one time."""
    begun = [(each.created_at, 1) for each in trajectories]
    ended = [(each.finished_at or 0.0, -1) for each in trajectories]
    active, most = 0, 0
    for _, change in sorted(begun + ended):
        active += change
        most = max(most, active)
    return most


def last_words(run: Path) -> dict[str, dict[str, Any]]:
    """What the scheduler and the governors said when the run ended."""
    with Reader(run) as reader:
        said: list[StatisticsRecord] = reader.statistics()
    return {each.source: each.sample for each in said}


def check_nothing_is_held(run: Path) -> None:
    """Every place that a conversation or a call had taken is free again."""
    said = last_words(run)
    assert (said["scheduler"]["active"], said["scheduler"]["waiting"]) == (0, 0)
    assert said["scheduler"]["groups"] == 0
    for name in ("policy", "simulator"):
        assert (said[name]["in_flight"], said[name]["waiting"], said[name]["lost"]) == (0, 0, 0)


async def test_conversations_at_once_are_bounded_and_groups_stay_together(
    house: Playhouse, tmp_path: Path
) -> None:
    house.instead["policy"] = slowly(0.01)
    most_told = 0

    def see(progress: RolloutProgress) -> None:
        nonlocal most_told
        most_told = max(most_told, progress.active)

    await roll(
        config_at(house, tasks=8, group_size=4, concurrency=6),
        tmp_path / "r.db",
        on_progress=see,
    )
    trajectories = trajectories_of(tmp_path / "r.db")
    assert len(trajectories) == 32
    assert most_at_once(trajectories) == 6
    assert most_told <= 6
    groups = [[each for each in trajectories if each.group_id == number] for number in range(1, 9)]
    for group, following in pairwise(groups):
        last_began = max(each.created_at for each in group)
        assert last_began <= min(each.created_at for each in following)
    check_nothing_is_held(tmp_path / "r.db")


def slowly(seconds: float):
    async def wait(_: ChatRequest) -> None:
        await anyio.sleep(seconds)

    return wait


async def test_what_has_begun_is_finished_before_anything_new_gets_the_simulator(
    house: Playhouse, tmp_path: Path
) -> None:
    begun = ended = most = 0

    async def begin(request: ChatRequest) -> None:
        nonlocal begun, most
        begun += read_sections(request.prompt)["history"] == []
        most = max(most, begun - ended)
        await anyio.sleep(0.03)

    async def end(_: ChatRequest) -> None:
        nonlocal ended
        ended += 1

    house.instead = {"user": begin, "judge": end}
    simulator = house.simulator(max_in_flight=1)
    config = config_at(house, tasks=12, concurrency=12, simulator=simulator)
    await roll(config, tmp_path / "r.db")
    assert (begun, ended) == (12, 12)
    # While the agent of one thinks, others get the free place; were it whoever came first, all 12.
    assert most <= 6


async def test_a_pause_holds_every_conversation_and_loses_no_call_in_flight(
    house: Playhouse, tmp_path: Path
) -> None:
    run, gate, here = tmp_path / "r.db", anyio.Event(), anyio.Event()
    house.instead["policy"] = once_held(3, gate, here)
    config = config_at(house, tasks=4, group_size=2, concurrency=4)
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config, run)
        await here.wait()
        answer = await command(run, PAUSE)
        assert answer.status == CommandStatus.DONE
        await anyio.sleep(0.1)
        held, asked, in_flight = turns_of(run), house.asked.total(), house.in_flight
        assert in_flight >= 1
        gate.set()
        await until(lambda: house.in_flight == 0)
        await anyio.sleep(0.2)
        assert house.asked.total() == asked, "something was asked during the pause"
        now = turns_of(run)
        more = sum(map(len, now.values())) - sum(map(len, held.values()))
        assert more == in_flight, "a call in flight was not stored"
        assert len(now) < 8, "all had begun, so that the pause held none of them back"
        await command(run, RESUME)
    trajectories = trajectories_of(run)
    assert [each.reward for each in trajectories] == [1.0] * 8
    for number, turns in now.items():
        assert turns_of(run)[number][: len(turns)] == turns
    check_nothing_is_held(run)


async def test_a_pause_lets_none_begin_when_room_comes_free(
    house: Playhouse, tmp_path: Path
) -> None:
    run, gate, here = tmp_path / "r.db", anyio.Event(), anyio.Event()
    house.instead["judge"] = once_held(1, gate, here)
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config_at(house, group_size=2, concurrency=1), run)
        await here.wait()
        await command(run, PAUSE)
        gate.set()
        await until(lambda: trajectories_of(run)[0].finished_at is not None)
        await anyio.sleep(0.1)
        assert len(trajectories_of(run)) == 1
        await command(run, RESUME)
    assert [each.reward for each in trajectories_of(run)] == [1.0, 1.0]


async def test_a_group_that_ends_lets_none_begin_before_the_last_one_has_room() -> None:
    scheduler = Scheduler(8, Spending(Budget()))
    began: list[str] = []
    another_began = anyio.Event()

    async def first(placed: Placed) -> None:
        began.append("first")
        placed()
        await another_began.wait()
        placed()

    async def second(placed: Placed) -> None:
        began.append("second")
        another_began.set()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert began == ["first", "second"]
        placed()

    async def third(placed: Placed) -> None:
        began.append("third")
        placed()

    assert await scheduler.run([first, second, third]) == 3
    assert began == ["first", "second", "third"]


async def test_concurrency_goes_up_and_down_while_the_run_goes_on(
    house: Playhouse, tmp_path: Path
) -> None:
    run, gate, here = tmp_path / "r.db", anyio.Event(), anyio.Event()
    house.instead["policy"] = once_held(1, gate, here)
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config_at(house, tasks=10, concurrency=2), run)
        await until(lambda: house.asked["policy"] == 2)
        await command(run, CONCURRENCY, conversations=5)
        await until(lambda: house.asked["policy"] == 5)
        await command(run, CONCURRENCY, conversations=1)
        gate.set()
    trajectories = sorted(trajectories_of(run), key=lambda each: each.created_at)
    assert [each.reward for each in trajectories] == [1.0] * 10
    assert most_at_once(trajectories) == 5
    assert most_at_once(trajectories[5:]) == 1
    # None began beside those that were under way when the number went down.
    assert trajectories[5].created_at >= max(each.finished_at or 0 for each in trajectories[:5])


async def test_a_concurrency_that_is_none_is_refused(house: Playhouse, tmp_path: Path) -> None:
    run, gate, here = tmp_path / "r.db", anyio.Event(), anyio.Event()
    house.instead["user"] = once_held(1, gate, here)
    wrong: list[Any] = [0, -1, 2.5, "many", None, True]
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config_at(house), run)
        await here.wait()
        answers = [await command(run, CONCURRENCY, conversations=each) for each in wrong]
        gate.set()
    for each, answer in zip(wrong, answers, strict=True):
        assert answer.status == CommandStatus.REFUSED
        assert f"found {each!r}; expected a number from 1 on" in (answer.answer or "")


async def test_one_that_is_cancelled_leaves_its_place_to_the_next(
    house: Playhouse, tmp_path: Path
) -> None:
    run = tmp_path / "r.db"
    never = anyio.Event()
    here = anyio.Event()

    async def first_hangs(_: ChatRequest) -> None:
        if house.asked["policy"] == 1:
            here.set()
            await never.wait()

    house.instead["policy"] = first_hangs
    async with anyio.create_task_group() as group:
        group.start_soon(roll, config_at(house, tasks=3, concurrency=1), run)
        await here.wait()
        await command(run, CANCEL, trajectory=1)
    never.set()
    stops = {each.id: each.stop_reason for each in trajectories_of(run)}
    assert stops == {1: "cancelled", 2: "user_done", 3: "user_done"}
    check_nothing_is_held(run)


async def test_a_look_up_whose_asker_is_cancelled_is_made_by_another_of_the_group(
    house: Playhouse, tmp_path: Path
) -> None:
    run = tmp_path / "r.db"
    gate, here = anyio.Event(), anyio.Event()

    async def second_comes_later(request: ChatRequest) -> None:
        # Members sample with seeds of their own: those of the second one begin with 3.
        if request.seed is not None and request.seed // 1000 == 3:
            await here.wait()

    house.instead = {"policy": second_comes_later, "tool": once_held(1, gate, here)}
    retail = load_environment("mini-retail")
    only_looked_up = {**retail.effects, "get_order": ToolEffect("read")}
    asks_for_orders = msgspec.structs.replace(retail, effects=only_looked_up)
    task = draw_task(MINI_RETAIL, TEMPLATES[0], 1, "train")
    config = config_at(house, group_size=2)

    async def play() -> None:
        await roll(config, run, environment=asks_for_orders, tasks=[task])

    async with anyio.create_task_group() as group:
        group.start_soon(play)
        await here.wait()
        await until(lambda: len(turns_of(run).get(2, [])) == 2)
        await anyio.sleep(0.05)
        assert house.asked["tool"] == 1, "the second one does not wait for the first one's answer"
        await command(run, CANCEL, trajectory=1)
        await until(lambda: house.asked["tool"] == 2)
        gate.set()
    ended = {each.id: (each.stop_reason, each.reward) for each in trajectories_of(run)}
    assert ended == {1: (StopReason.CANCELLED, None), 2: (StopReason.USER_DONE, 1.0)}
    with Reader(run) as reader:
        [fact] = reader.facts(group_id=1)
    assert fact.call.startswith("get_order ")
    check_nothing_is_held(run)


OURS = str(Path(simia_async.__file__).parent)


def tasks_of_ours() -> set[asyncio.Task[Any]]:
    """Tasks that run our code, those of the server's requests aside."""
    return {
        task
        for task in asyncio.all_tasks()
        if getattr(task.get_coro(), "cr_code", None)
        and task.get_coro().cr_code.co_filename.startswith(OURS)  # type: ignore[union-attr]
    }


@settings(deadline=None, database=None, max_examples=8)
@given(at=st.integers(1, 80), size=st.integers(1, 3), concurrency=st.integers(1, 6))
def test_a_run_cut_off_from_outside_leaves_nothing_running_and_goes_on(
    at: int, size: int, concurrency: int
) -> None:
    """It is cut off while its server hears the `at`-th request."""
    asyncio.run(cut_off_and_go_on(at, size, concurrency))


async def cut_off_and_go_on(at: int, size: int, concurrency: int) -> None:
    with TemporaryDirectory() as place:
        run = Path(place) / "r.db"
        async with playhouse() as house:
            config = config_at(
                house,
                environment="mini-airline",  # whose rollouts share facts
                tasks=6 // size,
                group_size=size,
                concurrency=concurrency,
            )
            cut = await cut_off(house, config, run, at)
            assert tasks_of_ours() == set()
            check_nothing_is_held(run)
            with Reader(run) as reader:
                assert reader.run().status == (RunStatus.STOPPED if cut else RunStatus.DONE)
            # Whoever was asked may have been paid, answered or not.
            assert len(calls_of(run)) >= house.asked.total()
            before = turns_of(run)
            for each in trajectories_of(run):
                ended = each.status == TrajectoryStatus.SCORED and each.stop_reason == "user_done"
                assert ended or each.status == TrajectoryStatus.RUNNING

            house.instead.clear()
            await roll(config, run)
            after = turns_of(run)
            for number, turns in before.items():
                assert after[number][: len(turns)] == turns
            assert [each.reward for each in trajectories_of(run)] == [1.0] * (6 // size * size)


async def cut_off(house: Playhouse, config: Any, run: Path, at: int) -> bool:
    """Cancel a run while its server hears the `at`-th request; whether it came to that."""
    with anyio.CancelScope() as scope:

        async def cut(_: ChatRequest) -> None:
            if house.asked.total() == at:
                scope.cancel()
            await anyio.sleep(0.001)

        house.instead = dict.fromkeys(("policy", "user", "tool", "judge"), cut)
        await roll(config, run)
    return scope.cancelled_caught


@settings(deadline=None, database=None, max_examples=25)
@given(
    concurrency=st.integers(1, 4),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    naps=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    cut_after=st.integers(0, 12),
)
def test_places_come_back_however_groups_are_cut_off(
    concurrency: int, sizes: list[int], naps: list[int], cut_after: int
) -> None:
    asyncio.run(cut_groups_off(concurrency, sizes, naps, cut_after))


async def cut_groups_off(
    concurrency: int, sizes: list[int], naps: list[int], cut_after: int
) -> None:
    scheduler = Scheduler(concurrency, Spending(Budget()))
    active = most = 0

    async def play(number: int) -> None:
        nonlocal active, most
        async with scheduler.slot():
            active += 1
            most = max(most, active)
            try:
                for _ in range(naps[number % len(naps)]):
                    await anyio.lowlevel.checkpoint()
            finally:
                active -= 1

    def group_of(size: int):
        async def group(placed: Placed) -> None:
            async with anyio.create_task_group() as members:
                for number in range(size):
                    members.start_soon(play, number)
                placed()

        return group

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run, [group_of(size) for size in sizes])
            for _ in range(cut_after):
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    said = scheduler.statistics()
    assert (active, said.active, said.waiting, said.groups) == (0, 0, 0, 0)
    assert most <= concurrency
