"""Curves of trainings, as text and as a picture."""

import io
import math
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from simia_store import MetricRecord, Reader, RunRecord, open_store

from simia_async.cli.curves import curves_of, print_curves
from simia_async.cli.curves_svg import write_svg
from simia_async.errors import UsageError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
async def trained(tmp_path: Path) -> Path:
    """A run that has measured some steps, one of them without end."""
    path = tmp_path / "a<b>.db"
    async with open_store(path) as store:
        await store.append(RunRecord("r", "rl", {}), MetricRecord(2, "eval/needs_action", 0.25))
        for step in range(1, 6):
            loss = math.inf if step == 3 else -0.01 * step
            await store.append(
                MetricRecord(step, "rollout/reward_mean", 0.1 * step),
                MetricRecord(step, "train/loss", loss),
                MetricRecord(step, "rollout/turns", 4.0),
            )
        # An evaluation that was cut off is made again.
        await store.append(MetricRecord(2, "eval/needs_action", 0.5))
    return path


@pytest.fixture
async def untrained(tmp_path: Path) -> Path:
    path = tmp_path / "generate.db"
    async with open_store(path) as store:
        await store.append(RunRecord("r", "generate", {}))
    return path


def printed(path: Path, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with Reader(path) as reader:
        print_curves(curves_of(reader), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "side_by_side"), [(80, True), (79, True), (78, False)])
def test_plots_stand_side_by_side_where_there_is_room(
    trained: Path, width: int, side_by_side: bool
) -> None:
    lines = printed(trained, width)
    assert max(map(len, lines)) <= width
    headings = [line for line in lines if ": " in line]
    assert [line.split() for line in headings] == (
        [
            ["reward:", "0.5", "loss:", "-0.05"],
            ["held", "out,", "needs", "action,", "greedy:", "0.5"],
        ]
        if side_by_side
        else [
            ["reward:", "0.5"],
            ["loss:", "-0.05"],
            ["held", "out,", "needs", "action,", "greedy:", "0.5"],
        ]
    )


def test_a_run_that_trains_nothing_has_none(untrained: Path, tmp_path: Path) -> None:
    assert printed(untrained, 80) == []
    with pytest.raises(UsageError, match="has no curves: no step of a training was measured"):
        write_svg(untrained, tmp_path / "c.svg")
    assert not (tmp_path / "c.svg").exists()


def test_the_picture_holds_every_point(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.svg"
    write_svg(trained, out)
    picture = ElementTree.parse(out).getroot()
    assert picture.findtext(f"{SVG}text") == "rl: a<b>.db"
    drawn = [
        (plot.findtext(f"{SVG}text"), len(plot.findall(f"{SVG}circle")))
        for plot in picture.findall(f"{SVG}g")
    ]
    assert drawn == [
        ("reward: 0.5", 5),
        ("loss: -0.05", 4),
        ("held out, needs action, greedy: 0.5", 1),
    ]
    box = [float(number) for number in picture.attrib["viewBox"].split()]
    for circle in picture.iter(f"{SVG}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= box[2]
    assert "http" not in out.read_text().replace("http://www.w3.org/2000/svg", "")


def test_the_report_draws_both(trained: Path) -> None:
    simia = [sys.executable, "-c", "from simia_async.cli.main import main; main()", "report"]
    done = subprocess.run([*simia, str(trained)], capture_output=True, text=True, check=True)
    assert "reward: 0.5" in done.stdout
    wrong = trained.parent / "missing" / "c.svg"
    done = subprocess.run(
        [*simia, str(trained), "--svg", str(wrong)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "cannot be written: No such file or directory" in done.stderr
