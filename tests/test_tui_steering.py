"""Steering a live run from the dashboard: asked once, answered by the run itself."""

from pathlib import Path

from simia_tui.app import Dashboard

from tests.tui_pilot import owner, screen, settled, shown_with, told
from tests.tui_runs import write_run


async def test_a_live_run_is_steered(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path) as process:
        async with Dashboard(path).run_test(size=(100, 30)) as pilot:
            await shown_with(pilot, "● rl run · running")
            await pilot.press("P")
            await shown_with(pilot, "Pause the run?")
            await pilot.press("n")
            assert "waiting for the run" not in await frame(pilot)
            await pilot.press("P", "y")
            await told(pilot, "pause: paused; calls in flight end and are stored")
            await shown_with(pilot, "PAUSED")
            await pilot.press("P")
            await shown_with(pilot, "Let the run go on?")
            await pilot.press("enter")
            await told(pilot, "resume: goes on")
            await pilot.press("plus")
            await shown_with(pilot, "Now: 64")
            await pilot.press("enter")
            await told(pilot, "concurrency: at most 80 conversations")
            await shown_with(pilot, "of at most 80")
            await pilot.press("minus")
            await shown_with(pilot, "Now: 80", "64")
            await pilot.press("escape", "2", "g")
            await shown_with(pilot, "rollout 0 ·")
            await pilot.press("x")
            await shown_with(pilot, "Cancel rollout 0?")
            await pilot.press("y")
            await told(pilot, "cancel: trajectory 0 is cancelled")
            await pilot.press("S", "y")
            await shown_with(pilot, "■ rl run · stopped")
            await told(pilot, "stop: the run ended")
            await pilot.press("P")
            await told(pilot, "the run is stopped: nobody is there to obey")
        process.wait(20)


async def frame(pilot) -> str:
    await pilot.pause(0.1)
    return screen(pilot)


async def test_a_dashboard_that_only_watches_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path):
        async with Dashboard(path, readonly=True).run_test(size=(100, 30)) as pilot:
            await shown_with(pilot, "● rl run · running", "read-only")
            for key in ("P", "S", "plus"):
                await pilot.press(key)
                assert len(pilot.app.screen_stack) == 1
            await told(pilot, "--readonly")


async def test_what_a_run_does_not_know_it_refuses_itself(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path):
        async with Dashboard(path).run_test(size=(100, 30)) as pilot:
            await shown_with(pilot, "● rl run · running")
            pilot.app.steer("checkpoint", "Write a checkpoint?")
            await pilot.press("y")
            await told(pilot, "checkpoint: refused: the owner of this run knows no command")


async def test_only_what_is_under_way_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    async with Dashboard(path).run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await settled(pilot)
        await pilot.press("x")
        await told(pilot, "only a rollout that is under way")
