"""How the dashboard starts: with little, and with the run's figures on its first frame."""

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from simia_store import StoreError, open_store
from simia_tui.app import Dashboard
from simia_tui.feed import Feed, Snapshot
from simia_tui.starting import FirstLook, collect_garbage_from_now_on, collect_no_garbage_yet

from tests.tui_pilot import shown_with
from tests.tui_runs import played_group, write_run

SLOW = ("torch", "aiosqlite", "anyio", "aiohttp", "importlib.metadata", "importlib.resources")
STARTED = f"""
import sys
import simia_tui.cli
assert "textual" not in sys.modules, "it takes most of the time, in which the run is read"
import simia_tui.app, simia_tui.screens.overview
print([name for name in {SLOW} if name in sys.modules])
"""


def test_what_a_start_does_not_need_is_not_imported() -> None:
    said = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True)
    assert said.stdout == "[]\n", said.stderr


async def test_a_run_that_was_read_already_is_there_at_once_and_followed(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    first = FirstLook(path)
    first.feed()
    assert first.snapshot is not None
    app = Dashboard(path, first=first)
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.snapshot is first.snapshot
        await shown_with(pilot, "3 done · 1 failed")
        async with open_store(path) as store:
            await store.append(*played_group(2, 1))
        await shown_with(pilot, "6 done · 2 failed")


async def test_a_run_that_is_still_being_read_is_drawn_once_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended, so nobody writes into it, and the feed has no other news."""
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    gate, poll = threading.Event(), Feed.poll

    def slow(feed: Feed) -> Snapshot | None:
        gate.wait(10)
        return poll(feed)

    monkeypatch.setattr(Feed, "poll", slow)
    app = Dashboard(path, first=FirstLook(path))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        assert app.snapshot is None
        gate.set()
        await shown_with(pilot, "3 done · 1 failed")


def test_no_run_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such run database"):
        FirstLook(tmp_path / "none.db")


def test_garbage_is_collected_once_something_is_drawn() -> None:
    collect_no_garbage_yet()
    try:
        assert not gc.isenabled()
    finally:
        collect_garbage_from_now_on()
    assert gc.isenabled()
    gc.unfreeze()
