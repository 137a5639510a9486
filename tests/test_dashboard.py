"""The dashboard as a whole: which run it shows, how that stands, and what a live one does."""

from importlib import import_module
from pathlib import Path

import pytest
from simia_store import RunStatus, open_store
from simia_tui.app import Dashboard
from simia_tui.cli import run

from tests.tui_pilot import owner, screen, shown_with, told
from tests.tui_runs import run_record, write_run


@pytest.mark.parametrize("size", [(80, 24), (240, 60)])
async def test_it_shows_the_run(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "rl.db"
    await write_run(path)
    async with Dashboard(path).run_test(size=size) as pilot:
        shown = await shown_with(pilot, "rl run")
        for expected in (
            "✓ rl run · done",
            "0 in flight",
            "unscored",
            "6 of 6 steps",
            "1 min 30 s",
        ):
            assert expected in shown
        assert "$1.50 of about $6.00" in shown
        assert "limit $10.00" in shown


async def test_text_of_a_failure_is_not_interpreted(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(
        path, RunStatus.FAILED, groups=1, reason="[bold red]no markup[/] \x1b[31m\u202e"
    )
    async with Dashboard(path).run_test(size=(120, 30)) as pilot:
        shown = await shown_with(pilot, "✗ rl run · failed")
        assert "[bold red]no markup[/] ␛[31m⟐" in shown
        assert "\x1b" not in shown


async def test_a_stopped_run_is_not_a_failed_one(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, RunStatus.STOPPED, groups=1, reason="stopped by `simia runs stop`")
    async with Dashboard(path).run_test(size=(100, 30)) as pilot:
        await shown_with(pilot, "■ rl run · stopped")


async def test_it_follows_a_live_run_until_its_owner_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("simia_store.standing"), "SILENT_S", 4.0)
    path = tmp_path / "rl.db"
    with owner(path) as process:
        async with Dashboard(path).run_test(size=(100, 30)) as pilot:
            await shown_with(pilot, "● rl run · running", "heartbeat")
            process.kill()
            await shown_with(pilot, "☠ rl run · cut off", "its owner is dead: silent for")
            await pilot.press("P")
            await told(pilot, "it is dead")


async def test_a_frozen_view_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=2)
    async with Dashboard(path).run_test(size=(100, 30)) as pilot:
        await shown_with(pilot, "6 done · 2 failed")
        await pilot.press("p")
        await shown_with(pilot, "view frozen")
        async with open_store(path) as store:
            await store.append(run_record(RunStatus.FAILED, reason="disk full"))
        await shown_with(pilot, "✗ rl run · failed")
        assert "ended" not in screen(pilot)
        await pilot.press("p")
        await shown_with(pilot, "ended", "disk full")


def test_what_is_no_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simia-tui", str(tmp_path / "no.db")])
    with pytest.raises(SystemExit) as exit_:
        run()
    assert exit_.value.code == 2
    assert "no such run database" in capsys.readouterr().err
