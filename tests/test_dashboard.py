"""The dashboard, driven by Textual's pilot on a real database."""

from pathlib import Path

import pytest
from simia_store import (
    CallRecord,
    MetricRecord,
    RunRecord,
    RunStatus,
    StatisticsRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    open_store,
)
from simia_tui.app import Dashboard, main
from simia_tui.feed import Feed
from textual.pilot import Pilot
from textual.widgets import Static

SAMPLE = {
    "in_flight": 3,
    "window": 8.0,
    "waiting": 21,
    "rate_limited": 17,
    "latency_s": 1.25,
    "requests_left": 4.0,
    "requests_per_minute": 600.0,
    "tokens_left": None,
    "tokens_per_minute": None,
    "breaker": "open",
}


async def write(path: Path, **run: object) -> None:
    async with open_store(path) as store:
        await store.append(
            RunRecord("r", "rl", {}, **run),
            TrajectoryRecord(1, "mini-retail", "t", TrajectoryStatus.RUNNING),
            TrajectoryRecord(2, "mini-retail", "t", TrajectoryStatus.UNSCORED, boundary="judge"),
            CallRecord(1, "judge", "http://x", "m", 1, "RateLimited", 0.5),
            StatisticsRecord("simulator", SAMPLE),
            StatisticsRecord("spending", {"spent_usd": 1.5, "projected_usd": 6.0}),
            *(MetricRecord(step, "rollout/reward_mean", step / 4) for step in (1, 2, 3)),
        )


def screen(app: Dashboard) -> str:
    return "\n".join(
        "".join(s.text for s in line) for line in app.screen._compositor.render_strips()
    )


async def shown_with(pilot: Pilot[None], text: str) -> str:
    """The screen, once `text` stands on it."""
    for _ in range(200):
        await pilot.pause(0.05)
        if text in (shown := screen(pilot.app)):
            return shown
    raise AssertionError(f"{text!r} never came up")


@pytest.mark.parametrize("size", [(80, 24), (140, 45)])
async def test_it_shows_the_run(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "rl.db"
    await write(path)
    feed = Feed(path)
    async with Dashboard(feed, path).run_test(size=size) as pilot:
        shown = await shown_with(pilot, "rl run")
        for expected in ("rl run", "running", "1 in flight", "unscored", "judge", "reward, mean"):
            assert expected in shown
        assert "$1.50 of about $6.00" in shown
    feed.close()


async def test_it_shows_what_holds_calls_back(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write(path)
    feed = Feed(path)
    async with Dashboard(feed, path).run_test(size=(110, 40)) as pilot:
        shown = await shown_with(pilot, "endpoints")
        (row,) = (line for line in shown.splitlines() if "3 of 8" in line)
        for expected in ("simulator", "21", "4/600 requests", "17", "open", "1.25 s"):
            assert expected in row
    feed.close()


async def test_it_follows_a_live_run_and_does_not_interpret_its_text(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write(path)
    feed = Feed(path)
    async with Dashboard(feed, path).run_test(size=(100, 30)) as pilot:
        reason = "[bold red]not markup[/] \x1b[31m"
        await write_reason(path, reason)
        await shown_with(pilot, "✗")
        headline = str(pilot.app.query_one("#headline", Static).render())
        assert "[bold red]not markup[/]" in headline
        assert "\x1b" not in screen(pilot.app)
    feed.close()


async def test_a_stopped_run_is_not_a_failed_one(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write(path)
    feed = Feed(path)
    async with Dashboard(feed, path).run_test(size=(100, 30)) as pilot:
        await write_reason(path, "stopped by `simia runs stop`", RunStatus.STOPPED)
        await shown_with(pilot, "■")
        assert "rl run · stopped" in str(pilot.app.query_one("#headline", Static).render())
    feed.close()


async def write_reason(path: Path, reason: str, status: RunStatus = RunStatus.FAILED) -> None:
    async with open_store(path) as store:
        await store.append(RunRecord("r", "rl", {}, status=status, reason=reason))


def test_what_is_no_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simia-tui", str(tmp_path / "no.db")])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert "no such run database" in capsys.readouterr().err
