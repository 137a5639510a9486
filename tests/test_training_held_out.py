"""Held-out trajectories: chosen by their ids, never trained on, and they pick the best adapter."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

pytest.importorskip("torch")

import simia_async
from simia_async.config import SftConfig
from simia_async.errors import ConfigError, UsageError
from simia_async.supervision.frames import Metrics
from simia_async.training.held_out import Evaluations, hold_out
from simia_async.training.samples import SftSample
from simia_async.training.sft import train_sft
from tests.sft_runs import SMALL, adapter_bytes, make_data


def samples(ids: list[int]) -> list[SftSample]:
    return [SftSample(number, [1, 2], [0, 1]) for number in ids]


@settings(max_examples=60, deadline=None, database=None)
@given(
    ids=st.lists(st.integers(1, 10**6), min_size=2, max_size=60, unique=True),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 5),
)
def test_a_share_is_held_out_by_hash(ids: list[int], share: float, seed: int) -> None:
    # Each trajectory in two pieces, as of a template that rewrites history.
    told = [piece for each in samples(ids) for piece in (each, each)]
    count = max(1, round(share * len(ids)))
    if count == len(ids):
        with pytest.raises(UsageError, match="leaves none to train on"):
            hold_out(told, share, seed)
        return
    trained, held = hold_out(told, share, seed)
    assert len(held) == 2 * count
    assert not {s.trajectory_id for s in trained} & {s.trajectory_id for s in held}
    assert sorted(s.trajectory_id for s in trained + held) == sorted([*ids, *ids])
    backwards = hold_out(told[::-1], share, seed)[1]
    assert {s.trajectory_id for s in backwards} == {s.trajectory_id for s in held}


def test_nothing_is_held_out_unless_asked() -> None:
    assert SftConfig().eval_share == 0
    assert hold_out(samples([1, 2]), 0.0, 0) == (samples([1, 2]), [])


def test_the_best_is_the_first_of_the_lowest() -> None:
    evaluations = Evaluations()
    assert [evaluations.add(step, loss) for step, loss in enumerate((3, 2, 2, 1, 4, 5), 1)] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert (evaluations.first, evaluations.last) == (3, 5)
    assert (evaluations.best, evaluations.best_step, evaluations.without_gain) == (1, 4, 2)


def test_patience_needs_something_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--patience: also needs --eval-share"):
        asyncio.run(simia_async.train_sft(tmp_path, run=tmp_path / "s.db", patience=2))
    assert list(tmp_path.iterdir()) == []


async def test_the_best_and_the_last_are_published(tmp_path: Path) -> None:
    data = await make_data(tmp_path)
    metrics: list[Metrics] = []
    # So fast that it gets worse: a rate that no schedule lowers.
    config = replace(
        SMALL, epochs=9, learning_rate=0.03, schedule="constant", eval_share=0.2, eval_every=1
    )
    config = replace(config, patience=4)
    trained = train_sft(config, [data], tmp_path / "a", metrics.append)
    losses = {m.step: m.values["eval_loss"] for m in metrics}
    best = min(losses, key=losses.__getitem__)
    assert trained.best.step == best < trained.last.step == best + 4 == trained.steps
    assert trained.steps < round(1 / metrics[0].values["progress"]), "it lost patience"
    manifests = [
        json.loads((each.path / "simia_manifest.json").read_text())
        for each in (trained.best, trained.last)
    ]
    assert [(m["is_best"], m["is_last"], m["version"]) for m in manifests] == [
        (True, False, 1),
        (False, True, 2),
    ]
    for manifest in manifests:
        assert manifest["losses"]["eval"]["best"] == losses[best]
        assert manifest["losses"]["eval"]["best_step"] == best
        assert (manifest["samples"], manifest["held_out"]) == (6, 2)
    one, other = adapter_bytes(tmp_path / "a").values()
    assert one != other
    # Cut off between the two: the best stays, the last is published again.
    shutil.rmtree(trained.last.path)
    assert train_sft(config, [data], tmp_path / "a", lambda _: None) == trained
    assert list(adapter_bytes(tmp_path / "a").values()) == [one, other]
