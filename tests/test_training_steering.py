"""`simia runs stop --after-step` and `simia runs checkpoint`, asked of trainings that go on."""

import asyncio
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from simia_store import CommandStatus, Reader, RunStatus, StoreError
from typer.testing import CliRunner

pytest.importorskip("torch")

from simia_async.cli.main import app
from simia_async.supervision.frames import Checkpointed
from simia_async.training.sft import Wishes, train_sft
from tests.rl_runs import SIMIA, RlProcess, trained_steps
from tests.servers import until
from tests.sft_runs import SMALL, CutOff, adapter_bytes, cut_at, left_over, make_data

RL_FLAGS = ["--steps", "2", "--groups", "2", "--group-size", "2", "--max-turns", "4"]


def runs(*arguments: object) -> str:
    """What `simia runs` says."""
    return CliRunner().invoke(app, ["runs", *map(str, arguments)]).output


def loss_steps(path: Path) -> int:
    with suppress(StoreError), Reader(path) as reader:
        return len(reader.metrics("train/loss"))
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(make_data(tmp_path_factory.mktemp("data")))


def test_an_sft_run_writes_a_checkpoint_and_ends_with_one(data: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "s.db", tmp_path / "adapters"
    flags = ["--epochs", "5000", "--tokens-per-batch", "700", "--lora-rank", "4"]
    places = ["--data", str(data), "--run", str(path), "--out", str(out)]
    command = [*SIMIA, "train", "sft", *flags, *places, "--checkpoint-every", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: loss_steps(path) > 0, seconds=100)
        said = runs("checkpoint", path)
        assert "the checkpoint of step" in said, said
        [kept] = out.glob("checkpoint-*")
        assert f"stands in {kept}" in said
        refused = runs("pause", path)
        assert "'pause': it plays no conversations with a policy; it knows: stop" in refused
        assert "the run ends when the step under way" in runs("stop", path, "--after-step")
        _, stderr = process.communicate(timeout=100)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "stopped after step" in stderr
    [last] = out.glob("checkpoint-*")
    assert last > kept
    with Reader(path) as reader:
        run, steps = reader.run(), reader.metrics("train/loss")
        answers = {command.name: command for command in reader.commands()}
    assert run.status == RunStatus.STOPPED
    assert int(last.name.partition("-")[2]) == steps[-1].step
    assert f"stopped after step {steps[-1].step} by" in run.reason
    assert answers["stop_after_step"].status == CommandStatus.DONE
    assert answers["stop_after_step"].answer == "the run ended: stopped"
    assert "nobody owns this run (stopped)" in runs("checkpoint", path)


def test_what_goes_on_from_a_checkpoint_that_was_asked_for_comes_out_the_same(
    data: Path, tmp_path: Path
) -> None:
    class AtTheFourth(Wishes):
        steps = 0
        told: Checkpointed | None = None

        def take_checkpoint(self) -> bool:
            self.steps += 1
            return self.steps == 4

        def taken(self, checkpoint: Checkpointed) -> None:
            self.told = checkpoint

    config, wishes = replace(SMALL, checkpoint_every=0), AtTheFourth()
    train_sft(config, [data], tmp_path / "whole", lambda _: None)
    with pytest.raises(CutOff):
        train_sft(config, [data], tmp_path / "cut", cut_at(6), wishes)
    assert wishes.told == Checkpointed(4, str(tmp_path / "cut" / "checkpoint-00000004"))
    assert left_over(tmp_path / "cut") == ["checkpoint-00000004"]
    train_sft(config, [data], tmp_path / "cut", lambda _: None)
    assert adapter_bytes(tmp_path / "cut") == adapter_bytes(tmp_path / "whole")


@pytest.mark.soak
def test_an_rl_run_ends_after_the_step_under_way(tmp_path: Path) -> None:
    path = tmp_path / "rl.db"
    process = RlProcess(path, *RL_FLAGS, "--run", str(path))
    assert process.wait_until(lambda reader: next(reader.trajectories(), None) is not None)
    assert "no step is trained yet; every turn is stored" in runs("checkpoint", path)
    said = runs("stop", path, "--after-step")
    assert "the run ends when step 1 of 2 is trained and published" in said
    code, stderr = process.end()
    assert code == 130, stderr
    assert "stopped after step 1 by `simia runs stop --after-step`" in stderr
    assert trained_steps(path) == [1]
    with Reader(path) as reader:
        [adapter] = reader.adapters()
        assert reader.run().status == RunStatus.STOPPED
        assert {command.name: command.answer for command in reader.commands()}[
            "stop_after_step"
        ] == "the run ended: stopped"
    assert (Path(adapter.path) / "adapter_model.safetensors").exists()
