"""The demo under the dashboard in a real terminal, as a person would use it."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

SIMIA = Path(sys.executable).with_name("simia")


class Terminal:
    """A terminal of 100 × 30 with something running in it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def shown_with(self, pattern: str, within_s: float = 60.0) -> str:
        """What stands on it, once `pattern` does."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if re.search(pattern, shown := self.tmux("capture-pane", "-p")):
                return shown
            time.sleep(0.2)
        raise AssertionError(f"{pattern!r} never came up; what did:\n{shown}")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(f"simia-{tmp_path.name}")
    command = f"cd {tmp_path} && {SIMIA} demo --dir demo --tui; sleep 60"
    found.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", command)
    yield found
    found.tmux("kill-server")


def test_the_demo_is_watched_and_steered(terminal: Terminal) -> None:
    terminal.shown_with(r"rl\.db +rl +● running", within_s=240)
    terminal.press("g", "Enter")
    terminal.shown_with("● rl run · running")
    terminal.shown_with(r"in flight of at most \d+")
    terminal.press("P")
    terminal.shown_with("Pause the run")
    terminal.press("y")
    terminal.shown_with("● rl run · PAUSED")
    terminal.press("P")
    terminal.shown_with("Let the run go on")
    terminal.press("y")
    terminal.shown_with("● rl run · running")
    terminal.press("2")
    terminal.shown_with("conversations · all")
    # At once, as a fast typist or a paste: not a letter of it may be taken for a command.
    terminal.press("-l", "/reward>0.5 user")
    terminal.shown_with(r"^reward>0\.5 user|\nreward>0\.5 user")
    terminal.press("Enter")
    terminal.shown_with("filter: reward>0.5 user")
    terminal.shown_with(r"▶ +\d+ +1\.00 scored")
    terminal.press("Enter")
    shown = terminal.shown_with(r"── 1 user")
    assert re.search(r"rollout \d+ · scored · reward 1", shown)
    terminal.press("q")
    terminal.shown_with("stopped +the demo; what it said is in demo/demo.log")
