"""What a run measures, in TensorBoard's own files."""

import subprocess
import sys
from pathlib import Path

import pytest
from simia_store import MetricRecord, RunRecord, open_store
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simia_async.errors import UsageError
from simia_async.runs.trackers import TensorBoard, shown_in

NAMES = ("rollout/reward_mean", "train/loss", "eval/needs_action@T=1")


async def session(directory: Path, database: Path, steps: range) -> list[str]:
    """One session of a run that measures each step; what it reported."""
    said: list[str] = []
    tracker = TensorBoard(directory, database)
    async with shown_in([tracker], database, said.append), open_store(database) as store:
        await store.append(RunRecord("r", "rl", {}))
        for step in steps:
            await store.append(*(MetricRecord(step, name, step / 10) for name in NAMES))
    return said


def scalars(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """As TensorBoard reads them, with nothing left out and nothing mended."""
    points: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(directory.iterdir()):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        for name in events.Tags()["scalars"]:
            points.setdefault(name, []).extend((e.step, e.value) for e in events.Scalars(name))
    return points


async def test_every_value_is_there_once_over_all_sessions(tmp_path: Path) -> None:
    directory, database = tmp_path / "tb", tmp_path / "rl.db"
    assert await session(directory, database, range(1, 4)) == []
    # A session that was not shown anywhere is caught up on.
    async with open_store(database) as store:
        await store.append(*(MetricRecord(4, name, 0.4) for name in NAMES))
    assert await session(directory, database, range(5, 8)) == []
    expected = [(step, pytest.approx(step / 10)) for step in range(1, 8)]
    assert scalars(directory) == dict.fromkeys(NAMES, expected)


async def test_a_directory_is_one_runs(tmp_path: Path) -> None:
    await session(tmp_path / "tb", tmp_path / "one.db", range(1, 4))
    with pytest.raises(UsageError, match="tb holds values of another run; name another directory"):
        TensorBoard(tmp_path / "tb", tmp_path / "two.db")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file; expected a directory"):
        TensorBoard(tmp_path / "file", tmp_path / "two.db")


async def test_a_tracker_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    directory = tmp_path / "tb"
    database = tmp_path / "rl.db"
    tracker = TensorBoard(directory, database)
    directory.touch()
    said: list[str] = []
    async with shown_in([tracker], database, said.append), open_store(database) as store:
        await store.append(RunRecord("r", "rl", {}), MetricRecord(1, NAMES[0], 0.5))
    [sentence] = said
    assert sentence.startswith("TensorBoard shows no more of the run: ")


@pytest.mark.parametrize(("command", "library"), [("sft", "tensorboard"), ("rl", "wandb")])
def test_a_library_that_is_missing_is_named(tmp_path: Path, command: str, library: str) -> None:
    without = f"import sys; sys.modules[{library!r}] = None"
    code = f"{without}\nfrom simia_async.cli.main import main; main()"
    arguments = ["train", command, f"--{library}", "shown", "--run", "new.db"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    said = f"--{library}: needs the package {library}; install simia-async[{library}]"
    assert done.stderr == f"error: {said}\n"
    assert list(tmp_path.iterdir()) == []
