"""Every pane as it looks, and how one leads to another."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from simia_store import StatisticsRecord, open_store
from simia_tui.app import Dashboard
from simia_tui.panes import PANES
from simia_tui.screens.picker import Picker
from simia_tui.widgets.asking import AskNumber, Confirm
from textual.widgets import Input

from tests.tui_pilot import screen, settled, shown_with, told
from tests.tui_runs import BEGUN, write_run
from tests.tui_snapshots import compare

SIZES = [(80, 24), (160, 48)]


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a finished run, as short as it is shown."""
    monkeypatch.chdir(tmp_path)
    await write_run(Path("rl.db"))
    return Path("rl.db")


@pytest.mark.parametrize("size", SIZES)
async def test_every_pane_looks_as_it_did(run: Path, size: tuple[int, int]) -> None:
    async with Dashboard(run).run_test(size=size) as pilot:
        await shown_with(pilot, "✓ rl run")
        for number, entry in enumerate(PANES, 1):
            await pilot.press(str(number))
            await compare(pilot, entry.name.lower())
        await pilot.press("3", "t", "j")
        await compare(pilot, "tokens")
        await pilot.press("w")
        await compare(pilot, "raw")
        await pilot.press("5", "h", "h")
        await compare(pilot, "crosshair")


@pytest.mark.parametrize("size", SIZES)
async def test_every_window_looks_as_it_did(run: Path, size: tuple[int, int]) -> None:
    async with Dashboard(run).run_test(size=size) as pilot:
        await shown_with(pilot, "✓ rl run")
        await pilot.press("2", "question_mark")
        await compare(pilot, "help")
        await pilot.press("escape", "space", "slash")
        pilot.app.query_one("Rollouts Input", Input).cursor_blink = False
        await pilot.press(*"reward<0.5")
        await compare(pilot, "filter")
        for window, name in (
            (Confirm("Pause the run?"), "confirm"),
            (AskNumber("?", 80), "number"),
        ):
            await pilot.app.push_screen(window)
            for asking in window.query(Input):
                asking.cursor_blink = False
            await compare(pilot, name)
            await pilot.press("escape")


@pytest.mark.parametrize("theme", ["high-contrast", "textual-light"])
async def test_other_themes_look_as_they_did(run: Path, theme: str) -> None:
    async with Dashboard(run).run_test(size=SIZES[0]) as pilot:
        await shown_with(pilot, "✓ rl run")
        pilot.app.theme = theme
        for key, name in (("1", "overview"), ("2", "rollouts"), ("3", "transcript")):
            await pilot.press(key)
            await compare(pilot, f"{name}-{theme}")


@pytest.mark.parametrize("size", SIZES)
async def test_the_list_of_runs_looks_as_it_did(
    run: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_run(Path("more") / "old.db", groups=1, started_at=BEGUN - 7e6)
    write_no_run(Path("no-run.db"))
    monkeypatch.setattr("simia_tui.screens.picker.time.time", lambda: BEGUN + 100)
    async with Picker(Path()).run_test(size=size) as pilot:
        await shown_with(pilot, "rl.db", "old.db", "unreadable")
        await pilot.press("space")
        await compare(pilot, "picker")


async def test_workers_of_a_run_are_shown(run: Path) -> None:
    said = {"id": 1, "where": "4711 on 10.0.0.7", "is_ready": True, "in_flight": 250,
            "waiting": 12, "conversations": 300, "done": 12_345, "share": 0.25, "heard_s": 0.4,
            "restarts": 0}  # fmt: skip
    silent = {**said, "heard_s": 31.0, "restarts": 2}
    begins = {**said, "where": "", "is_ready": False, "conversations": 0, "heard_s": 0.0}
    async with open_store(run) as store:
        await store.append(
            StatisticsRecord("worker 10", {"done": None}),
            StatisticsRecord("worker 2", silent),
            StatisticsRecord("worker 3", begins),
            StatisticsRecord("worker 1", said),
        )
    async with Dashboard(run).run_test(size=SIZES[0]) as pilot:
        await shown_with(pilot, "4 workers", "! 31 s ago")
        await compare(pilot, "workers")


def write_no_run(path: Path) -> None:
    path.write_text("nothing")


async def test_a_run_is_picked_with_others_to_compare_with(run: Path) -> None:
    await write_run(Path("other.db"), groups=2)
    app = Picker(Path())
    async with app.run_test(size=(100, 24)) as pilot:
        await shown_with(pilot, "rl.db", "other.db")
        await pilot.press("space")
        await shown_with(pilot, "1 marked")
        await pilot.press("enter")
        await pilot.pause(0.1)
    assert app.return_value == [Path("rl.db"), Path("other.db")]


async def test_curves_of_other_runs_are_drawn_beside(run: Path) -> None:
    await write_run(Path("other.db"), groups=4)
    async with Dashboard(run, others=[Path("other.db")]).run_test(size=(120, 40)) as pilot:
        await pilot.press("5")
        await shown_with(pilot, "compared with 1 other runs", "other.db")


async def test_a_step_leads_to_its_rollouts_and_these_to_a_transcript(run: Path) -> None:
    async with Dashboard(run).run_test(size=(100, 30)) as pilot:
        await shown_with(pilot, "✓ rl run")
        await pilot.press("5", "h", "h", "h")
        await shown_with(pilot, "step 4 · enter shows")
        await pilot.press("enter")
        await shown_with(pilot, "filter: step:4", "cancel/7", "cancel/8")
        assert "cancel/9" not in screen(pilot)
        await pilot.press("j", "enter")
        await shown_with(pilot, "rollout 26", "verd", "get_order(order_id=")


async def test_an_error_leads_to_its_rollouts(run: Path) -> None:
    async with Dashboard(run).run_test(size=(120, 30)) as pilot:
        await pilot.press("7")
        await shown_with(pilot, "unscored simulator", "HTTP 0 after 0 attempts", "HTTP 503: busy")
        await pilot.press("enter")
        shown = await shown_with(pilot, 'filter: status=unscored at="simulator"', "simulator_error")
        assert "user_done" not in shown.split("outcome")[1].splitlines()[1]
        await pilot.press("7", "j", "enter")
        await shown_with(pilot, 'reason:"attempts"', "simulator_error")


async def test_groups_show_where_rollouts_part_and_which_teach_nothing(run: Path) -> None:
    async with Dashboard(run).run_test(size=(120, 30)) as pilot:
        await pilot.press("4")
        await shown_with(pilot, "they part at turn 4 (≠)", "all equal")
        await pilot.press("j", "j")
        await shown_with(pilot, "ZERO VARIANCE")
        await pilot.press("k", "tab", "l", "enter")
        await shown_with(pilot, "rollout 6 ")


async def test_marked_rollouts_are_compared(run: Path) -> None:
    async with Dashboard(run).run_test(size=(120, 30)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "48 conversations")
        await pilot.press("space", "j", "space", "c")
        await shown_with(pilot, "2 marked rollouts")


async def test_help_tells_the_keys_of_the_pane_and_the_board(run: Path) -> None:
    async with Dashboard(run).run_test(size=(100, 50)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "48 conversations")
        await pilot.press("question_mark")
        await shown_with(pilot, "Rollouts ─", "Filter", "Mark", "Pause or resume the run", "Quit")
        await pilot.press("escape")
        assert "Pause or resume" not in await settled(pilot)


async def test_themes_and_the_palette(run: Path) -> None:
    async with Dashboard(run).run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await settled(pilot)
        for theme in ("high-contrast", "textual-light", "textual-dark"):
            pilot.app.theme = theme
            assert "48 conversations" in await settled(pilot)
        await pilot.press("ctrl+p")
        await pilot.pause(0.2)
        await pilot.press(*"endpoints")
        await pilot.pause(0.5)
        await pilot.press("enter", "enter")
        await shown_with(pilot, "BREAKER open", "17 × 429", "wait p95")


async def test_copy_and_export(run: Path) -> None:
    async with Dashboard(run).run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await shown_with(pilot, "48 conversations")
        await pilot.press("j", "y")
        assert pilot.app.clipboard.startswith("rollout 2 · mini-retail/train/cancel/1")
        await pilot.press("space", "space", "E")
        await told(pilot, "2 conversations →")
        written = the_file("rl-rollouts-*.jsonl")
        assert written.count("\n") == 2
        assert '"id":2' in written
        await pilot.press("6", "E")
        await told(pilot, "screen →")
        ElementTree.fromstring(the_file("rl-endpoints-*.svg"))


def the_file(pattern: str) -> str:
    """What the one file of this name holds; none of a write that was not finished is left."""
    (found,) = Path().glob(pattern)
    assert not list(Path().glob(".rl*"))
    return found.read_text()


async def test_the_mouse(run: Path) -> None:
    async with Dashboard(run).run_test(size=(100, 30)) as pilot:
        await shown_with(pilot, "✓ rl run")
        await pilot.click("StatusBar", offset=(14, 1))
        await shown_with(pilot, "48 conversations", "▶")
        await pilot.click("#rollout-list", offset=(20, 5))
        await shown_with(pilot, "rollout 5 ·")
        await pilot.click("#rollout-list", offset=(20, 5))
        await shown_with(pilot, "rollout 5 ", "── 1 user")
