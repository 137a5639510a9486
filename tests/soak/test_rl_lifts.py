"""What RL in the simulated world does for a policy after SFT, over three seeds of everything."""

import statistics
from pathlib import Path

import pytest

import simia_async
from simia_async.config import EvalConfig, GenerateConfig, SftConfig
from simia_async.evaluation.shares import PolicyScore
from simia_async.runs.demo_data import DEMO_TRAJECTORIES
from simia_async.runs.evaluate import run_evaluate
from simia_async.runs.generate import run_generate
from simia_async.runs.sft import run_sft

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]

TASKS = 126
"""Six of every template."""


def solved(score: PolicyScore) -> float:
    return score.all.value


async def test_it_lifts_what_is_sampled_and_harms_nothing(tmp_path: Path) -> None:
    lifts: dict[str, list[float]] = {"sampled": [], "needs action": [], "greedy": []}
    for seed in range(3):
        place = tmp_path / str(seed)
        place.mkdir()
        data = place / "data.db"
        await run_generate(GenerateConfig(n=DEMO_TRAJECTORIES, seed=seed), data, report=print)
        tuned = await run_sft(SftConfig(seed=seed), [data], place / "sft.db", place / "sft")
        steps = simia_async.train_rl(run=place / "rl.db", adapter=str(tuned.adapter), seed=seed)
        adapters = [str(tuned.adapter), *[str(step.adapter) async for step in steps][-1:]]
        config = EvalConfig(adapters=tuple(adapters), tasks=TASKS, seed=seed)
        result = await run_evaluate(config, place / "eval.db", report=print)
        for score in result.scores:
            print(seed, score)
        _, _, sft, sft_sampled, rl, rl_sampled = result.scores
        lifts["sampled"].append(solved(rl_sampled) - solved(sft_sampled))
        lifts["needs action"].append(rl_sampled.needs_action.value - sft_sampled.needs_action.value)
        lifts["greedy"].append(solved(rl) - solved(sft))
    assert statistics.mean(lifts["sampled"]) >= 0.12, lifts
    assert statistics.mean(lifts["needs action"]) >= 0, lifts
    # Of three times 126 tasks; two standard errors of a difference are about 0.05.
    assert statistics.mean(lifts["greedy"]) >= -0.05, lifts
