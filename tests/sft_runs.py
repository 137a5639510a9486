"""Small SFT runs for tests: data, and what a run published."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import simia_async
from simia_async.config import SftConfig
from simia_async.supervision.frames import Metrics
from simia_async.training.sft import train_sft

SMALL = SftConfig(epochs=2, tokens_per_batch=700, lora_rank=4, checkpoint_every=3)
"""Eight steps or so on eight trajectories of `mini-retail`."""


async def make_data(directory: Path, n: int = 8) -> Path:
    return (await simia_async.generate(run=directory / "g.db", n=n)).run


def adapter_bytes(directory: Path) -> dict[str, bytes]:
    """Published weights by adapter."""
    files = sorted(directory.glob("v*/adapter_model.safetensors"))
    return {file.parent.name: file.read_bytes() for file in files}


def left_over(directory: Path) -> list[str]:
    """What is neither a published adapter nor the word of where it comes from."""
    names = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    return [name for name in names if not name.startswith("v") and name != "training.json"]


class CutOff(Exception):
    """Stands for a process that ends."""


def cut_at(step: int) -> Callable[[Metrics], None]:
    """A listener that ends the training once it has heard of this step."""

    def report(metrics: Metrics) -> None:
        if metrics.step == step:
            raise CutOff

    return report


def check_goes_on(data: Path, place: Path, cuts: list[int], config: SftConfig) -> None:
    """However often a training is cut off, it comes out as one that was not."""
    whole = train_sft(config, [data], place / "whole", lambda _: None)
    for cut in cuts:
        with suppress(CutOff):
            train_sft(config, [data], place / "cut", cut_at(cut))
    resumed = train_sft(config, [data], place / "cut", lambda _: None)
    assert adapter_bytes(place / "cut") == adapter_bytes(place / "whole")
    assert (resumed.best.step, resumed.last.step) == (whole.best.step, whole.last.step)
    again = train_sft(config, [data], place / "cut", cut_at(1))
    assert again == resumed, "a run that is done is not trained again"
