"""What an SFT run cannot work with: one sentence, exit code 2, and nothing half-written."""

import asyncio
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from simia_store import (
    EnvironmentRecord,
    TrajectoryRecord,
    TrajectoryStatus,
    TurnRecord,
    open_store,
)
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from simia_async.cli.main import app  # noqa: E402
from simia_async.config import TINY, SftConfig  # noqa: E402
from simia_async.errors import UsageError  # noqa: E402
from simia_async.models import model_directory  # noqa: E402
from simia_async.rendering.renderer import Renderer  # noqa: E402
from simia_async.training.at_once import directory_at_once, file_at_once  # noqa: E402
from simia_async.training.samples import read_sft_samples  # noqa: E402
from simia_async.training.sft import train_sft  # noqa: E402
from tests.sft_runs import SMALL, CutOff, adapter_bytes, cut_at, left_over, make_data  # noqa: E402


async def told(path: Path, *texts: str | None) -> Path:
    """A run that kept a conversation for each text, in which the agent says it; None: nothing."""
    async with open_store(path) as store:
        await store.append(EnvironmentRecord("e", "policy", []))
        for number, text in enumerate(texts, 1):
            messages = [{"role": "user", "content": "hi"}]
            messages += [{"role": "assistant", "content": text}] if text is not None else []
            await store.append(
                TrajectoryRecord(number, "e", "t", TrajectoryStatus.KEPT),
                *(TurnRecord(number, at, m["role"], m) for at, m in enumerate(messages)),
            )
    return path


async def test_what_gives_no_sample_is_counted(tmp_path: Path) -> None:
    data = await told(tmp_path / "g.db", "short", None, "long " * 100)
    read = read_sft_samples([data], Renderer(model_directory(TINY)), 60)
    assert [sample.trajectory_id for sample in read.samples] == [1]
    assert (read.unspoken, read.too_long) == (1, 1)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "kept no trajectory; there is nothing to train on"),
        ([None], "no trajectory to train on (in 1 the agent says nothing)"),
        (["word " * 2000], "(1 are longer than the model's context of 1024 tokens)"),
    ],
)
async def test_data_that_gives_nothing(
    tmp_path: Path, texts: list[str | None], sentence: str
) -> None:
    data = await told(tmp_path / "g.db", *texts)
    with pytest.raises(UsageError) as raised:
        train_sft(SMALL, [data], tmp_path / "a", lambda _: None)
    assert sentence in str(raised.value)
    assert not (tmp_path / "a").exists()


async def test_a_template_that_cannot_render_a_trajectory_names_it(tmp_path: Path) -> None:
    model = Path(shutil.copytree(model_directory(TINY), tmp_path / "m"))
    (model / "chat_template.jinja").write_text("{{ raise_exception('no such roles') }}")
    data = await told(tmp_path / "g.db", "a")
    with pytest.raises(UsageError, match=r"g.db: trajectory 1: .* refuses .*: no such roles"):
        train_sft(replace(SMALL, model=str(model)), [data], tmp_path / "a", lambda _: None)


def sft(*arguments: object) -> str:
    """What the command says that it must refuse."""
    result = CliRunner().invoke(app, ["train", "sft", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
    return result.output


def test_a_wrong_base_is_refused_before_the_run_begins(tmp_path: Path) -> None:
    run = tmp_path / "s.db"
    model = Path(shutil.copytree(model_directory(TINY), tmp_path / "m"))
    (model / "chat_template.jinja").unlink()
    shutil.copy(Path(__file__).with_name("templates") / "chatml.jinja", tmp_path)
    for name, sentence in (("/no/such", "no model at '/no/such'"), (model, "no chat template")):
        assert sentence in sft("--data", tmp_path, "--run", run, "--model", name)
    assert not run.exists()


async def test_wrong_modules_and_devices_are_named(tmp_path: Path) -> None:
    data = await told(tmp_path / "g.db", "a")
    for config, sentence in (
        (replace(SMALL, lora_targets=("qproj",)), "--lora-target: .* no linear layer 'qproj'"),
        (replace(SMALL, lora_rank=10**11), "cannot be given an adapter of rank 1"),
        (replace(SMALL, device="cuda:77"), "--device: found 'cuda:77'"),
        (replace(SMALL, eval_share=0.5), "--eval-share: 0.5 of 1 trajectories leaves none"),
    ):
        with pytest.raises(UsageError, match=sentence):
            train_sft(config, [data], tmp_path / "a", lambda _: None)
        assert not (tmp_path / "a").exists()


@pytest.mark.soak
def test_a_directory_that_cannot_be_written_leaves_no_run_behind(tmp_path: Path) -> None:
    data = asyncio.run(told(tmp_path / "g.db", "a"))
    place = tmp_path / "place"
    place.mkdir()
    (place / "a").touch()
    flags = ("--data", data, "--run", place / "s.db", "--out", place / "a")
    assert "a/training.json: cannot be written" in sft(*flags)
    assert [path.name for path in place.iterdir()] == ["a"]


async def test_a_turn_that_is_no_message_is_named(tmp_path: Path) -> None:
    data = await told(tmp_path / "g.db", "a")
    async with open_store(data) as store:
        odd = TurnRecord(2, 0, "assistant", {"role": "assistant", "content": 5})
        await store.append(TrajectoryRecord(2, "e", "t", TrajectoryStatus.KEPT), odd)
    with pytest.raises(UsageError, match=r"g.db: trajectory 2: Expected `str \| null`, got `int`"):
        train_sft(SMALL, [data], tmp_path / "a", lambda _: None)


async def test_weights_that_are_pickles_are_not_loaded(tmp_path: Path) -> None:
    model = Path(shutil.copytree(model_directory(TINY), tmp_path / "m"))
    (model / "model.safetensors").unlink()
    torch.save({}, model / "pytorch_model.bin")
    data = await told(tmp_path / "g.db", "a")
    with pytest.raises(UsageError, match=r"m: cannot be loaded: .*safetensors"):
        train_sft(replace(SMALL, model=str(model)), [data], tmp_path / "a", lambda _: None)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk to fill")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves room for a few small ones."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - 60_000))
    return filler


async def test_a_full_disk_leaves_nothing_half_written(disk: Path, tmp_path: Path) -> None:
    data = await make_data(tmp_path)
    config = replace(SMALL, checkpoint_every=2)
    filler = fill(disk)
    out = disk / "adapters"
    with pytest.raises(UsageError, match=r"checkpoint-00000002: cannot be written: .*[Nn]o space"):
        train_sft(config, [data], out, lambda _: None)
    assert left_over(out) == []
    filler.unlink()
    with pytest.raises(CutOff):
        train_sft(config, [data], out, cut_at(3))
    assert left_over(out) == ["checkpoint-00000002"]
    fill(disk)
    with pytest.raises(UsageError, match=r"checkpoint-00000004: cannot be written: .*[Nn]o space"):
        train_sft(config, [data], out, lambda _: None)
    assert left_over(out) == ["checkpoint-00000002"], "the one before stays until the new is whole"
    filler.unlink()
    train_sft(config, [data], out, lambda _: None)
    train_sft(config, [data], tmp_path / "whole", lambda _: None)
    assert adapter_bytes(out) == adapter_bytes(tmp_path / "whole")


async def test_an_adapter_that_does_not_fit_is_not_published(disk: Path, tmp_path: Path) -> None:
    data = await make_data(tmp_path, n=2)
    config = replace(SMALL, checkpoint_every=0)
    filler = fill(disk)
    with pytest.raises(UsageError, match=r"v00001: cannot be written: .*[Nn]o space"):
        train_sft(config, [data], disk / "a", lambda _: None)
    assert sorted(path.name for path in (disk / "a").iterdir()) == ["training.json"]
    filler.unlink()
    assert train_sft(config, [data], disk / "a", lambda _: None).last.path.is_dir()


def test_what_fails_while_it_is_written_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the last moment: here it is the renaming that fails."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    message = "cannot be written: No space left on device"
    with pytest.raises(UsageError, match=f"d: {message}"), directory_at_once(tmp_path / "d") as d:
        (d / "file").write_text("x")
    with pytest.raises(UsageError, match=f"f: {message}"):
        file_at_once(tmp_path / "f", b"x")
    with pytest.raises(KeyError), directory_at_once(tmp_path / "d"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


async def test_the_manifest_says_where_an_adapter_comes_from(tmp_path: Path) -> None:
    data = await told(tmp_path / "g.db", *("abcdefgh" * 3))
    trained = train_sft(SMALL, [data], tmp_path / "a", lambda _: None)
    manifest = json.loads((trained.last.path / "simia_manifest.json").read_text())
    assert manifest["steps"] == manifest["step"] == manifest["steps_planned"] == trained.steps
    assert set(manifest["versions"]) == {"python", "simia-async", "torch", "transformers", "peft"}
    assert manifest["losses"]["first"] > manifest["losses"]["lowest"]
    assert manifest["losses"]["eval"] is None
    assert manifest["tokens"] == 24 * 2 * SMALL.epochs, "a letter and the end of turn each"
    assert SftConfig(**{**manifest["config"], "store": SMALL.store, "lora_targets": ()}) == SMALL

    other = Path(shutil.copytree(model_directory(TINY), tmp_path / "m"))
    for file, changes in (("README.md", False), ("config.json", True), ("model.safetensors", True)):
        content = bytearray((other / file).read_bytes())
        content[-2] ^= 1 if file == "model.safetensors" else 0
        (other / file).write_bytes(content + (b" " if file == "config.json" else b""))
        again = train_sft(
            replace(SMALL, model=str(other), epochs=1), [data], tmp_path / file, print
        )
        there = json.loads((again.last.path / "simia_manifest.json").read_text())
        assert (there["base_sha256"] != manifest["base_sha256"]) is changes
        assert there["data_sha256"] == manifest["data_sha256"]
