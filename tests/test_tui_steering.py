"""Steering a live run from the dashboard: asked once, answered by the run itself."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
from simia_store import Reader
from simia_tui.app import Dashboard
from simia_tui.steering import judge_command
from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from tests.tui_pilot import owner, screen, settled, shown_with, told
from tests.tui_runs import run_record, write_run


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
            await pilot.press("2")
            await shown_with(pilot, "conversations · all", "▶")
            for number, key in enumerate(("P", "S", "plus", "F", "C", "R"), 1):
                await pilot.press(key)
                assert len(pilot.app.screen_stack) == 1
                assert len(pilot.app._notifications) == number
            await told(pilot, "--readonly")


async def test_what_a_run_does_not_know_it_refuses_itself(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path):
        async with Dashboard(path).run_test(size=(100, 30)) as pilot:
            await shown_with(pilot, "● rl run · running")
            pilot.app.steer("dance", "Dance?")
            await pilot.press("y")
            await told(pilot, "dance: refused: the owner of this run knows no command")


async def test_what_takes_time_is_acknowledged_first(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path) as process:
        async with Dashboard(path).run_test(size=(120, 30)) as pilot:
            await shown_with(pilot, "● rl run · running")
            await pilot.press("C")
            await shown_with(pilot, "Write a checkpoint")
            await pilot.press("y")
            await told(pilot, "checkpoint: a checkpoint is written when")
            await shown_with(pilot, "· checkpoint: a checkpoint is written when")
            # Others are obeyed meanwhile.
            await pilot.press("P", "y")
            await told(pilot, "checkpoint: the checkpoint of step 6 stands in")
            await shown_with(pilot, "asked last", "pause · done: paused", "PAUSED")
            await pilot.press("2", "g")
            await shown_with(pilot, "rollout 0 ·")
            await pilot.press("j", "space", "space")
            await shown_with(pilot, "2 marked")
            await pilot.press("R")
            await shown_with(pilot, "Judge 2 rollouts again?", "as another scoring")
            await pilot.press("y")
            await shown_with(pilot, "· rejudge: 1 of 2 judged again as scoring 2")
            with Reader(path) as reader:
                assert reader.commands()[-1].arguments == {"trajectories": [1, 2]}
            await pilot.press("P", "y")
            await told(pilot, "rejudge: judged 2 again as scoring 2: mean reward 0.500")
            await pilot.press("F")
            await shown_with(pilot, "after the training step under way?")
            await pilot.press("y")
            await told(pilot, "stop after step: the run ends when step 7")
            await shown_with(pilot, "running · stop after step: the run ends when")
            await pilot.press("P", "y")
            await shown_with(pilot, "■ rl run · stopped")
            await told(pilot, "stop after step: the run ended: stopped")
            await pilot.press("R")
            await shown_with(pilot, "simia judge", "--trajectory 1 --trajectory 2", "Copy it?")
            await pilot.press("y")
            await told(pilot, "copied")
            assert pilot.app.clipboard == f"simia judge {path} --trajectory 1 --trajectory 2"
        process.wait(20)


def test_the_command_that_judges_again_names_the_judge_of_the_run(tmp_path: Path) -> None:
    config = {
        "rubric": "my rubric.toml",
        "votes": 3,
        "simulator": {"base_url": "http://a/v1", "model": "world", "api_key_env": "A_KEY"},
        "judge_endpoint": {"base_url": None, "model": "judge"},
    }
    kinds = {"rl": "--simulator-model judge", "generate": None}
    for kind, expected in kinds.items():
        run = msgspec.structs.replace(run_record(), kind=kind, config=config)
        snapshot = SimpleNamespace(run=run, path=tmp_path / "r.db")
        said = judge_command(snapshot, [7])
        if expected is None:
            assert said is None
        else:
            assert said == (
                f"simia judge {tmp_path}/r.db --trajectory 7 --rubric 'my rubric.toml' --votes 3 "
                f"--base-url http://a/v1 {expected} --api-key-env A_KEY"
            )


async def test_only_what_is_under_way_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    await write_run(path, groups=1)
    async with Dashboard(path).run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await settled(pilot)
        await pilot.press("x")
        await told(pilot, "only a rollout that is under way")


async def test_keys_that_are_typed_ahead_go_where_they_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    with owner(path):
        async with Dashboard(path).run_test(size=(100, 30)) as pilot:
            await shown_with(pilot, "● rl run · running")
            # As one burst, before the screen has followed any of it.
            type_ahead(pilot.app, "2/reward>0.5 SuFC")
            await shown_with(pilot, "reward>0.5 SuFC")
            assert pilot.app.query_one("#rollouts Input", Input).value == "reward>0.5 SuFC"
            assert len(pilot.app.screen_stack) == 1
            assert not pilot.app._notifications
            await pilot.press("escape", "escape")
            type_ahead(pilot.app, "/reward>0.5 refund\r3/refund")
            await shown_with(pilot, "rollout 0 · running", "\nrefund")
            assert pilot.app.query_one("#rollouts Input", Input).value == "reward>0.5 refund"
            assert pilot.app.query_one("#transcript Input", Input).value == "refund"


def type_ahead(app: Dashboard, text: str) -> None:
    for character in text:
        key = "enter" if character == "\r" else _character_to_key(character)
        app.post_message(events.Key(key, character))
