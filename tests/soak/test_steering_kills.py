"""Runs that are asked for something, killed before they have done it, and go on."""

from pathlib import Path

import pytest
from simia_store import CommandStatus, Reader

pytest.importorskip("torch")

from tests.rl_runs import RlProcess, check_sound
from tests.test_training_steering import RL_FLAGS, runs

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


def test_an_rl_run_that_ended_after_a_step_goes_on_and_trains_no_group_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rl.db"
    first = RlProcess(path, *RL_FLAGS, "--max-staleness", "1", "--run", str(path))
    assert first.wait_until(lambda reader: next(reader.trajectories(), None) is not None)
    assert "the run ends when step 1 of 2" in runs("stop", path, "--after-step")
    assert first.end()[0] == 130
    second = RlProcess(path, "--resume", str(path))
    assert second.wait_until(lambda reader: reader.sessions()[-1].id > 1)
    said = runs("checkpoint", path)
    assert "every step is one: version 1, of step 1, stands in" in said, said
    code, stderr = second.end()
    assert code == 0, stderr
    check_sound(path, steps=2, groups=2, size=2)


def test_what_an_owner_that_was_killed_had_taken_up_is_refused_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    first = RlProcess(path, *RL_FLAGS, "--run", str(path))
    assert first.wait_until(lambda reader: next(reader.trajectories(), None) is not None)
    assert "the run ends when step 1 of 2" in runs("stop", path, "--after-step")
    first.kill()
    first.end()
    code, stderr = RlProcess(path, "--resume", str(path)).end()
    assert code == 0, stderr
    check_sound(path, steps=2, groups=2, size=2)
    with Reader(path) as reader:
        [asked] = reader.commands()
    assert asked.status == CommandStatus.REFUSED
    assert "left for an earlier owner" in asked.answer
