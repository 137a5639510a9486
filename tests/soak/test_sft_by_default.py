"""`simia train sft` with nothing else: data is made, and the tiny base learns from it."""

from pathlib import Path

import pytest
from simia_store import Reader
from typer.testing import CliRunner

from simia_async.cli.main import app

pytestmark = pytest.mark.soak


def test_it_makes_its_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "sft", "--run", "s.db"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "s-adapters" / "v00001" / "adapter_config.json").is_file()
    with Reader(tmp_path / "s-data.db") as reader:
        assert sum(o.count for o in reader.outcomes() if o.status == "kept") == 192
    with Reader(tmp_path / "s.db") as reader:
        losses = [metric.value for metric in reader.metrics("train/loss")]
    assert losses[-1] < losses[0]
