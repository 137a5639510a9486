"""Help on a terminal of 80 columns."""

import re

import pytest
from typer.testing import CliRunner

from simia_async.cli.main import app

COMMANDS = ("", "scripted-server", "train sft", "train rl", "runs")


def help_of(command: str) -> str:
    done = CliRunner(env={"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}).invoke(
        app, [*command.split(), "--help"]
    )
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_names_are_never_cut_off(command: str) -> None:
    said = help_of(command)
    assert not re.findall(r"\S+…", re.sub(r"runs/<kind>\S*|cuda:1, …", "", said))
    assert max(map(len, said.splitlines())) <= 80


def test_paragraphs_flow_however_their_docstring_is_broken() -> None:
    lines = [line.strip() for line in help_of("train rl").splitlines()]
    first = lines.index(
        "Run it again on the same database, or with --resume, to go on where it was cut"
    )
    assert lines[first + 1] == "off: no conversation is played and no group learnt from twice."
    assert "calls and cost by role, adapters." in help_of("")
