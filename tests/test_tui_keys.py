"""Every key of every screen, pressed: the table of keys, and what is seen after each.

A walk presses keys one after the other. Each must do what its binding says, in the widget that has
the binding. A binding that no walk presses fails the last test here: give it a line.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import simia_tui
from simia_tui.app import Dashboard
from simia_tui.screens.picker import Picker
from simia_tui.widgets.pager import Pager
from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.pilot import Pilot

from tests.tui_pilot import owner, screen, shown_with
from tests.tui_runs import STEPS, write_run

Seen = str | Callable[[Pilot[Any]], bool]


class Press(NamedTuple):
    """A key, whose it is, and what is seen after it."""

    owner: str
    """Class that has the binding; none where text is written into a line."""
    key: str
    seen: Seen = ""
    gone: str = ""


class Walk(NamedTuple):
    """Keys to press one after the other, in a terminal of a size."""

    presses: list[Press]
    size: tuple[int, int] = (100, 30)
    opening: str = "✓ rl run"


def keys(owner: str, seen: dict[str, Seen]) -> list[Press]:
    """Keys of one owner."""
    return [Press(owner, key, after) for key, after in seen.items()]


def typed(text: str) -> list[Press]:
    """Text for a line that has the keyboard."""
    return [Press("", key) for key in text]


def at(y: int) -> Seen:
    """That the words of a conversation are scrolled so far."""
    return lambda pilot: pilot.app.query_one(Pager).scroll_offset.y == y


def far_down(pilot: Pilot[Any]) -> bool:
    """That they are scrolled to their end."""
    pager = pilot.app.query_one(Pager)
    return 0 < pager.scroll_offset.y == pager.max_scroll_y


def plots_at(y: int) -> Seen:
    """That the plots are scrolled so far; -1 is their end."""

    def is_there(pilot: Pilot[Any]) -> bool:
        (area,) = pilot.app.query("Training VerticalScroll")
        return area.scroll_offset.y == (area.max_scroll_y if y < 0 else y)

    return is_there


def told(text: str) -> Seen:
    """That the dashboard has notified of this."""
    return lambda pilot: any(text in note.message for note in pilot.app._notifications)


def copied(text: str) -> Seen:
    """That `y` copied something with this text in it."""
    return lambda pilot: text in pilot.app.clipboard


def written(pattern: str) -> Seen:
    """That there is one file of this name."""
    return lambda _: len(list(Path().glob(pattern))) == 1


def ended(pilot: Pilot[Any]) -> bool:
    """That the dashboard has ended."""
    return not pilot.app.is_running


PANES = {
    "1": "throughput",
    "2": "48 conversations",
    "3": "── 1 user",
    "4": "they part at turn 4",
    "5": "last values",
    "6": "BREAKER open",
    "7": "calls that failed",
    "8": "who made the last",
}

STEERING = ("P", "S", "F", "C", "plus", "minus")

LIST = Walk([
    Press("Dashboard", "2", "48 conversations"),
    *keys("KeysetList", {
        "j": "rollout 2 ·", "down": "rollout 3 ·", "k": "rollout 2 ·", "up": "rollout 1 ·",
        "ctrl+d": "rollout 22 ·", "pagedown": "rollout 43 ·",
        "ctrl+u": "rollout 22 ·", "pageup": "rollout 1 ·",
        "G": "rollout 48 ·", "g": "rollout 1 ·", "end": "rollout 48 ·", "home": "rollout 1 ·",
        "f": "following ↓", "space": "1 marked",
    }),
    Press("KeysetList", "g", "rollout 1 ·"),
    Press("Rollouts", "n", "rollout 2 ·"),
    Press("Rollouts", "N", "rollout 1 ·"),
    Press("Rollouts", "o", "by reward ↑"),
    Press("Rollouts", "O", "by reward ↓"),
    Press("Rollouts", "o", "by number ↓"),
    Press("Rollouts", "slash", lambda pilot: pilot.app.query_one("Rollouts Input").has_focus),
    *typed("reward<1"),
    Press("", "enter", "filter: reward<1"),
    Press("Rollouts", "escape", "· all ·"),
    Press("Rollouts", "R", "--trajectory 48"),
    Press("Confirm", "y", copied("simia judge rl.db --trajectory 48")),
    Press("Rollouts", "x", told("only a rollout that is under way")),
    Press("KeysetList", "j", "rollout 47 ·"),
    Press("KeysetList", "space", "2 marked"),
    Press("Rollouts", "c", "2 marked rollouts"),
    Press("Dashboard", "2", "2 marked"),
    Press("Rollouts", "u", gone="marked"),
    Press("KeysetList", "enter", "── 1 user"),
])  # fmt: skip

TRANSCRIPT = Walk([
    Press("Dashboard", "3", "▶  1 user"),
    *keys("Transcript", {
        "j": "▶  2 asst", "down": "▶  3 tool", "k": "▶  2 asst", "up": "▶  1 user",
        "G": "▶    verdict", "g": "▶  1 user", "end": "▶    verdict", "home": "▶  1 user",
        "ctrl+d": far_down, "ctrl+u": at(0), "pagedown": far_down, "pageup": at(0),
        "space": far_down,
        "right_square_bracket": "rollout 2 ·", "l": "rollout 3 ·",
        "left_square_bracket": "rollout 2 ·", "h": "rollout 1 ·",
        "t": "TOKENS", "w": "RAW JSON",
    }),
    Press("Transcript", "w", gone="RAW JSON"),
    Press("Transcript", "slash", lambda pilot: pilot.app.query_one("Transcript Input").has_focus),
    *typed("state"),
    Press("", "enter", lambda pilot: found_line(pilot, "state ~ /orders")),
    Press("Transcript", "n", lambda pilot: found_line(pilot, "because: state")),
    Press("Transcript", "N", lambda pilot: found_line(pilot, "state ~ /orders")),
    Press("Transcript", "R", "Copy it?"),
    Press("Confirm", "n", gone="Copy it?"),
    Press("Transcript", "x", told("only a rollout that is under way")),
    Press("Transcript", "escape", "48 conversations"),
], size=(80, 24))  # fmt: skip

PAGER = Walk([
    Press("Dashboard", "3", "▶  1 user"),
    Press("", "tab", lambda pilot: pilot.app.query_one(Pager).has_focus),
    *keys("Pager", {
        "j": at(1), "down": at(2), "k": at(1), "up": at(0), "G": far_down, "g": at(0),
        "end": far_down, "home": at(0), "ctrl+d": far_down, "ctrl+u": at(0), "pagedown": far_down,
        "pageup": at(0),
    }),
], size=(80, 24))  # fmt: skip

GROUPS = Walk([
    Press("Dashboard", "4", "they part at turn 4"),
    Press("Groups", "n", "group 2 ·"),
    Press("KeysetList", "j", "ZERO VARIANCE"),
    Press("Groups", "N", "group 2 ·"),
    Press("Groups", "tab", "▶5"),
    *keys("Lanes", {
        "l": "▶6", "right": "▶7", "h": "▶6", "left": "▶5",
        "j": lambda pilot: top_of_lanes(pilot) == 1, "down": lambda pilot: top_of_lanes(pilot) == 2,
        "k": lambda pilot: top_of_lanes(pilot) == 1, "up": lambda pilot: top_of_lanes(pilot) == 0,
        "d": "≠",
    }),
    Press("Groups", "escape", lambda pilot: pilot.app.query_one("#group-list").has_focus),
    Press("Groups", "escape", lambda pilot: pilot.app.query_one("Lanes").has_focus),
    Press("Lanes", "enter", "rollout 5 ·"),
], size=(100, 14))  # fmt: skip

TRAINING = Walk([
    Press("Dashboard", "5", "last values"),
    *keys("Training", {
        "h": f"step {STEPS} ·", "left": f"step {STEPS - 1} ·", "l": f"step {STEPS} ·",
        "H": "step 1 ·", "right": "step 2 ·", "L": f"step {STEPS} ·",
        "0": "step 1 ·", "dollar_sign": f"step {STEPS} ·", "escape": "last values",
        "j": plots_at(4), "down": plots_at(8), "k": plots_at(4), "up": plots_at(0),
        "ctrl+d": plots_at(18), "pagedown": plots_at(36), "ctrl+u": plots_at(18),
        "pageup": plots_at(0), "G": plots_at(-1), "g": plots_at(0), "end": plots_at(-1),
        "home": plots_at(0),
    }),
    Press("Training", "0", "step 1 ·"),
    Press("Training", "enter", "filter: step:1"),
], size=(80, 24))  # fmt: skip

BOARD = Walk([
    *keys("Dashboard", PANES),
    Press("Dashboard", "question_mark", "esc closes"),
    Press("Help", "escape", gone="esc closes"),
    Press("Dashboard", "question_mark", "esc closes"),
    Press("Help", "q", gone="esc closes"),
    Press("Dashboard", "question_mark", "esc closes"),
    Press("Help", "question_mark", gone="esc closes"),
    Press("Dashboard", "p", "view frozen"),
    Press("Dashboard", "p", gone="view frozen"),
    *keys("Dashboard", dict.fromkeys(STEERING, told("the run is done"))),
    Press("Dashboard", "r", told("start simia-tui with a directory")),
    Press("Dashboard", "2", "rollout 1 ·"),
    Press("Dashboard", "y", copied("rollout 1 ·")),
    Press("Dashboard", "E", written("rl-rollouts-*.jsonl")),
    Press("Dashboard", "ctrl+e", written("rl-rollouts-*.svg")),
    Press("Dashboard", "q", ended),
])  # fmt: skip

STEERED = Walk([
    Press("Dashboard", "P", "Pause the run?"),
    Press("Confirm", "n", gone="Pause the run?"),
    Press("Dashboard", "P", "Pause the run?"),
    Press("Confirm", "escape", gone="Pause the run?"),
    Press("Dashboard", "P", "Pause the run?"),
    Press("Confirm", "q", gone="Pause the run?"),
    Press("Dashboard", "P", "Pause the run?"),
    Press("Confirm", "y", "PAUSED"),
    Press("Dashboard", "P", "Let the run go on?"),
    Press("Confirm", "enter", gone="PAUSED"),
    Press("Dashboard", "plus", "Now: 64"),
    Press("AskNumber", "escape", gone="Now: 64"),
    Press("Dashboard", "minus", "Now: 64"),
], opening="● rl run · running")  # fmt: skip

PICKER = Walk([
    Press("Picker", "y", copied("rl.db")),
    Press("Picker", "question_mark", "Copy the path"),
    Press("Help", "escape", gone="Copy the path"),
    Press("Picker", "q", ended),
], opening="runs in")  # fmt: skip

WALKS = [LIST, TRANSCRIPT, PAGER, GROUPS, TRAINING, BOARD, STEERED, PICKER]


def found_line(pilot: Pilot[Any], text: str) -> bool:
    pager = pilot.app.query_one(Pager)
    return pager._found is not None and text in pager.lines[pager._found].text


def top_of_lanes(pilot: Pilot[Any]) -> int:
    return pilot.app.query_one("Lanes")._top


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[DOMNode, str]]:
    """Which widgets were asked to do what by keys."""
    asked: list[tuple[DOMNode, str]] = []
    run_action = App.run_action

    async def noted(self: App[Any], action: str, node: DOMNode, *more: Any) -> bool:
        asked.append((node, action))
        return await run_action(self, action, node, *more)

    monkeypatch.setattr(App, "run_action", noted)
    return asked


async def press(pilot: Pilot[Any], step: Press, done: list[tuple[DOMNode, str]]) -> None:
    """Press a key; its binding must act, and what should be seen must come up."""
    done.clear()
    await pilot.press(step.key)
    if step.owner:
        meant = bindings()[step.owner, step.key]
        assert any(step.owner in kinds(node) and action == meant for node, action in done), (
            f"{step} did {done}"
        )
    for _ in range(300):
        shown = screen(pilot)
        is_seen = step.seen in shown if isinstance(step.seen, str) else step.seen(pilot)
        if is_seen and not (step.gone and step.gone in shown):
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{step} led to:\n{screen(pilot)}")


def kinds(node: DOMNode) -> set[str]:
    return {kind.__name__ for kind in type(node).__mro__}


def bindings() -> dict[tuple[str, str], str]:
    """Every binding of the dashboard: whose it is, its key, and what it does."""
    for module in pkgutil.walk_packages(simia_tui.__path__, "simia_tui."):
        import_module(module.name)
    found: dict[tuple[str, str], str] = {}
    waiting: list[type[Any]] = [DOMNode]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("simia_tui."):
            for given in kind.__dict__.get("BINDINGS", ()):
                binding = given if isinstance(given, Binding) else Binding(*given)
                found |= {(kind.__name__, key): binding.action for key in binding.key.split(",")}
    return found


async def walk(app: App[Any], way: Walk, done: list[tuple[DOMNode, str]]) -> None:
    async with app.run_test(size=way.size) as pilot:
        await shown_with(pilot, way.opening)
        for step in way.presses:
            await press(pilot, step, done)


@pytest.mark.parametrize("way", [LIST, TRANSCRIPT, PAGER, GROUPS, TRAINING, BOARD])
async def test_the_keys_of_a_finished_run(
    way: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: list[tuple[DOMNode, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    await write_run(Path("rl.db"))
    await walk(Dashboard(Path("rl.db")), way, done)


async def test_the_keys_of_a_live_run(tmp_path: Path, done: list[tuple[DOMNode, str]]) -> None:
    with owner(tmp_path / "rl.db"):
        await walk(Dashboard(tmp_path / "rl.db"), STEERED, done)


async def test_the_keys_of_the_list_of_runs(
    tmp_path: Path, done: list[tuple[DOMNode, str]]
) -> None:
    await write_run(tmp_path / "rl.db", groups=1)
    await walk(Picker(tmp_path), PICKER, done)


def test_every_key_is_pressed() -> None:
    pressed = {(step.owner, step.key) for way in WALKS for step in way.presses if step.owner}
    assert set(bindings()) == pressed, "give each key a line in a walk above"
