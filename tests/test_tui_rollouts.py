"""The list of rollouts: pages, filters, and rows that come while somebody looks."""

from pathlib import Path

import msgspec
from simia_store import TrajectoryStatus, TurnRecord, open_store
from simia_tui.app import Dashboard
from simia_tui.screens.rollouts import Rollouts

from tests.tui_pilot import owner, screen, settled, shown_with, told
from tests.tui_runs import played_group, rollout, turns, write_run


async def filter_for(pilot, text: str) -> None:
    await pilot.press("slash")
    pilot.app.query_one("Rollouts Input").value = text
    await pilot.press("enter")


async def test_filter_sort_and_search(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path)
    async with Dashboard(path).run_test(size=(120, 30)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "48 conversations · all · by number")
        await filter_for(pilot, "reward<0.5 step:1")
        shown = await shown_with(pilot, "filter: reward<0.5 step:1", "rollout 2 ·")
        assert shown.count("user_done") == 5  # four rows, and the line below
        await pilot.press("o", "O")
        await shown_with(pilot, "by reward ↓", "rollout 7 ·")
        await filter_for(pilot, '"refund is on" -id<9')
        await shown_with(pilot, "by reward ↓", "rollout 48 ·")
        await filter_for(pilot, "rewrad<1")
        await told(pilot, "'rewrad': is no field")
        await pilot.press("escape", "escape", "o")
        await shown_with(pilot, "all · by number")


async def test_a_long_list_is_read_page_by_page_in_both_directions(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    async with open_store(path) as store:
        await store.append(*(rollout(number, 1, 0.5) for number in range(5, 3001)))
    async with Dashboard(path).run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "3,000 conversations", "rollout 1 ·")
        listing = pilot.app.query_one(Rollouts).listing
        seen = [listing.row.id]
        for _ in range(40):
            listing.action_move(17)
            await settled_row(pilot)
            seen.append(listing.row.id)
        assert seen == list(range(1, 682, 17))
        assert len(listing._window.rows) <= 500
        for _ in range(40):
            listing.action_move(-17)
            await settled_row(pilot)
            seen.append(listing.row.id)
        assert seen[-1] == 1
        await pilot.press("G")
        await shown_with(pilot, "rollout 3000 ·")
        await pilot.press("g")
        await shown_with(pilot, "rollout 1 ·")


async def test_the_cursor_stays_on_its_row_while_rows_come(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path):
        async with Dashboard(path).run_test(size=(80, 24)) as pilot:
            await pilot.press("2")
            await shown_with(pilot, "conversations · all", "rollout ")
            await pilot.press("g", "G", "k", "k")
            listing = pilot.app.query_one(Rollouts).listing
            await settled_row(pilot)
            here = listing.row.id
            await shown_with(pilot, "new ↓")
            assert listing.row.id == here
            await pilot.press("f")
            await shown_with(pilot, "following ↓")
            last = listing.row.id
            while listing.row.id == last:
                await pilot.pause(0.05)
            assert listing.following


async def settled_row(pilot) -> None:
    """Wait until the list is not being read."""
    listing = pilot.app.query_one(Rollouts).listing
    await pilot.pause(0)
    while listing.is_awaited:
        await pilot.pause(0.01)


async def test_rows_that_come_in_between_move_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    async with open_store(path) as store:
        await store.append(*(rollout(number, 1, 0.5) for number in range(100, 120)))
    async with Dashboard(path).run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "rollout 1 ·")
        await pilot.press(*"jjjjj")
        await shown_with(pilot, "rollout 101 ·")
        async with open_store(path) as store:
            await store.append(*played_group(2, 1))
        await shown_with(pilot, "28 conversations", "        8 ")
        assert "▶       101" in await settled(pilot)
        assert "rollout 101 ·" in screen(pilot)


async def test_a_search_for_words_finds_rows_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    async with open_store(path) as store:
        running = msgspec.structs.replace(rollout(20, 1, 0.5), status=TrajectoryStatus.RUNNING)
        await store.append(running, *turns(20, solved=False))
    async with Dashboard(path).run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "rollout 1 ·")
        await filter_for(pilot, '"refund is on"')
        await shown_with(pilot, 'filter: "refund is on"', "rollout 1 ·")
        async with open_store(path) as store:
            await store.append(*played_group(2, 1), *played_group(3, 2))
        # Of the eight that came, those whose rewards are full say it.
        await shown_with(pilot, "13 conversations", "5 new ↓", "▶         1 ", "         12 ")
        async with open_store(path) as store:
            said = {"role": "assistant", "content": "Your refund is on its way."}
            await store.append(TurnRecord(20, 5, "assistant", said))
        await shown_with(pilot, "6 new ↓", "         20 ")
        assert "         6   0.00" not in screen(pilot)
        await pilot.press("G")
        await shown_with(pilot, "rollout 20 ·")


async def test_a_search_of_a_live_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path):
        async with Dashboard(path).run_test(size=(80, 24)) as pilot:
            await pilot.press("2")
            await shown_with(pilot, "conversations · all", "rollout ")
            await filter_for(pilot, '"refund is on"')
            await shown_with(pilot, "filter:", "rollout 1 ·")
            await pilot.press("f")
            await shown_with(pilot, "following ↓")
            listing = pilot.app.query_one(Rollouts).listing
            last = listing.row.id
            while listing.row.id == last:
                await pilot.pause(0.05)
