"""What SFT on simulated trajectories does for the tiny base, over three seeds of everything."""

import statistics
from pathlib import Path

import pytest

from simia_async.config import EvalConfig, GenerateConfig, SftConfig
from simia_async.runs.demo_data import DEMO_TRAJECTORIES
from simia_async.runs.evaluate import run_evaluate
from simia_async.runs.generate import run_generate
from simia_async.runs.sft import run_sft

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

TASKS = 84
"""Four of every template."""


async def test_it_lifts_what_needs_action_by_forty_points(tmp_path: Path) -> None:
    lifts: dict[float, list[float]] = {0.0: [], 1.0: []}
    for seed in range(3):
        place = tmp_path / str(seed)
        place.mkdir()
        data = place / "data.db"
        await run_generate(GenerateConfig(n=DEMO_TRAJECTORIES, seed=seed), data, report=print)
        tuned = await run_sft(SftConfig(seed=seed), [data], place / "sft.db", place / "adapters")
        result = await run_evaluate(
            EvalConfig(adapters=(str(tuned.adapter),), tasks=TASKS, seed=seed),
            place / "eval.db",
            report=print,
        )
        for score in result.scores:
            print(seed, score)
        for temperature, found in lifts.items():
            base, sft = (
                score.needs_action.value
                for score in result.scores
                if score.temperature == temperature
            )
            found.append(sft - base)
    assert statistics.mean(lifts[0.0]) >= 0.4, lifts
    # Some seeds hold agents that ask or pass on, and who learns from them does so now and then.
    assert statistics.mean(lifts[1.0]) >= 0.3, lifts
