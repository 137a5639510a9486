"""A GRPO trainer that is killed at any moment and goes on publishes what one that was not does."""

import asyncio
import os
import random
import signal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

pytest.importorskip("torch")

from simia_async.config import GrpoConfig
from simia_async.errors import ChildFailed
from simia_async.runs.sft import TRAINER
from simia_async.supervision.frames import Published, TrainGrpo
from simia_async.supervision.process import ChildProcess
from simia_async.training.grpo import GrpoTrainer
from tests.rl_groups import store_steps
from tests.sft_runs import adapter_bytes, left_over
from tests.trained_adapters import trained_adapters

pytestmark = pytest.mark.soak

STEPS = 12
CONFIG = GrpoConfig(lora_rank=4, learning_rate=1e-2, kl_coefficient=0.1, importance_cap=2.0)


async def go_on(config: GrpoConfig, data: Path, out: Path, noted: int, delay_s: float) -> int:
    """Train from the last version that was noted, until the trainer is killed; the last one now.

    It is killed `delay_s` after it began its second step, so that each session comes further.
    """
    resume_from = str(out / f"v{noted:05}") if noted else None
    killer = None
    try:
        async with ChildProcess.start("trainer", TRAINER, ["--out", str(out)]) as trainer:
            for step in range(noted + 1, STEPS + 1):
                settings = msgspec.to_builtins(config)
                await trainer.send(TrainGrpo(str(data), settings, step, step, resume_from))
                resume_from = None
                while not isinstance(await trainer.receive(), Published):
                    pass
                noted = step
                if killer is None:
                    loop = asyncio.get_running_loop()
                    killer = loop.call_later(delay_s, os.kill, trainer.pid, signal.SIGKILL)
            if killer is not None:
                killer.cancel()
    except ChildFailed:
        pass
    return noted


@pytest.mark.timeout(600)
async def test_killed_at_any_moment(tmp_path: Path) -> None:
    data = await store_steps(tmp_path / "rl.db", steps=STEPS, groups=3, size=6)
    (start,) = trained_adapters(tmp_path, 1, steps=2)
    config = replace(CONFIG, adapter=str(start))
    whole = GrpoTrainer(config, tmp_path / "whole")
    for step in range(1, STEPS + 1):
        whole.step(data, step, step)
        whole.publish(step)

    out, noted, rng = tmp_path / "cut", 0, random.Random(0)
    while noted < STEPS:
        noted = await go_on(config, data, out, noted, rng.uniform(0, 0.2))
    assert adapter_bytes(out) == adapter_bytes(tmp_path / "whole")
    assert left_over(out) == []
