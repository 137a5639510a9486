"""An SFT run that was cut off comes out bit for bit as one that was not."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace
from simia_store import Reader, RunStatus
from typer.testing import CliRunner

pytest.importorskip("torch")

from simia_async.cli.main import app
from simia_async.config import SftConfig
from simia_async.errors import ChildFailed, UsageError
from simia_async.runs.sft import run_sft
from simia_async.supervision.frames import Metrics
from simia_async.training.sft import train_sft
from tests.sft_runs import SMALL, CutOff, adapter_bytes, check_goes_on, cut_at, left_over, make_data
from tests.test_processes import TRAINER, by_module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(make_data(tmp_path_factory.mktemp("data")))


def kill_at(step: int):
    """A listener that kills the trainer child once it has heard of this step."""

    def on_metrics(metrics: Metrics) -> None:
        if metrics.step == step:
            os.kill(by_module(os.getpid())[TRAINER], signal.SIGKILL)

    return on_metrics


def test_a_killed_trainer_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    config = replace(SMALL, eval_share=0.2, eval_every=2)
    metrics: list[Metrics] = []
    train_sft(config, [data], tmp_path / "whole", metrics.append)
    run, out = tmp_path / "s.db", tmp_path / "cut"
    with pytest.raises(ChildFailed, match=r"killed by SIGKILL; go on with: simia train sft --res"):
        asyncio.run(run_sft(config, [data], run, out, on_metrics=kill_at(5)))
    assert not list(out.glob("v*"))
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.FAILED
        assert len(reader.metrics("train/loss")) >= 5

    result = CliRunner().invoke(app, ["train", "sft", "--resume", str(run), "--json"])
    assert result.exit_code == 0, result.output
    assert adapter_bytes(out) == adapter_bytes(tmp_path / "whole")
    assert left_over(out) == []
    with Reader(run) as reader:
        assert reader.run().status == RunStatus.DONE
        for name in ("loss", "eval_loss", "grad_norm"):
            stored = [(m.step, m.value) for m in reader.metrics(f"train/{name}")]
            assert stored == [(m.step, m.values[name]) for m in metrics if name in m.values], name
    both = CliRunner().invoke(app, ["train", "sft", "--resume", str(run), "--run", "x.db"])
    assert both.exit_code == 2
    assert "--run: names a database, and --resume another" in both.output
    told = json.loads(result.stdout)
    assert told["steps"] == metrics[-1].step
    assert told["eval_loss"] == min(m.values.get("eval_loss", 9.0) for m in metrics)


@pytest.mark.parametrize(
    ("cuts", "config"),
    [
        ([1, 4, 7], replace(SMALL, eval_share=0.2, eval_every=2, packing=False)),
        ([4], replace(SMALL, epochs=1, checkpoint_every=0)),
    ],
)
def test_wherever_it_was_cut_off(
    data: Path, tmp_path: Path, cuts: list[int], config: SftConfig
) -> None:
    check_goes_on(data, tmp_path, cuts, config)


def test_only_the_latest_checkpoint_is_kept(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CutOff):
        train_sft(SMALL, [data], tmp_path, cut_at(7))
    (kept,) = tmp_path.glob("checkpoint-*")
    assert kept.name == "checkpoint-00000006"
    assert {file.suffix for file in kept.iterdir()} == {".safetensors", ".json"}
    # One that was cut off while it was written is not taken for one.
    shutil.copytree(kept, tmp_path / ".checkpoint-00000009.partial")
    (kept / "optimizer.safetensors").write_bytes(b"garbage")
    with pytest.raises(UsageError, match=r"optimizer\.safetensors: cannot be read"):
        train_sft(SMALL, [data], tmp_path, lambda _: None)


async def test_what_it_began_with_must_be_the_same(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapters"
    with pytest.raises(CutOff):
        train_sft(SMALL, [data], out, cut_at(4))
    other = await make_data(tmp_path, n=7)
    with pytest.raises(UsageError, match=r"training.json: the trajectories are not those .*data_s"):
        train_sft(SMALL, [other], out, lambda _: None)
    with pytest.raises(UsageError, match=r"the settings are not .*epochs = 1, expected epochs = 2"):
        train_sft(replace(SMALL, epochs=1), [data], out, lambda _: None)
    with pytest.raises(UsageError, match="holds an unfinished training already"):
        await run_sft(SMALL, [data], tmp_path / "s.db", out)
    assert not (tmp_path / "s.db").exists()


def test_a_run_that_cannot_be_resumed_is_named(data: Path, tmp_path: Path) -> None:
    for arguments, sentence in (
        (["--resume", tmp_path / "no.db"], "no.db: no such run"),
        (["--resume", data], "it holds a run of kind generate; expected a run of kind sft"),
    ):
        result = CliRunner().invoke(app, ["train", "sft", *map(str, arguments)])
        assert result.exit_code == 2
        assert sentence in result.output
