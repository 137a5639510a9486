"""Controls of RL as a whole: what teaches nothing must teach nothing, what is wrong must harm.

The loop is the real one; what is turned round is what its judge says.
"""

import statistics
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import simia_async
from simia_async.config import EvalConfig
from simia_async.runs.evaluate import run_evaluate
from simia_async.testing import Lies, ScriptedServer
from tests.rl_runs import tuned_adapter

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]

TASKS = 84
SETTINGS: dict[str, Any] = {"steps": 6}
T_975 = 2.776
"""Quantile of Student's distribution with four degrees of freedom: of five seeds."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter that all begin with."""
    return tuned_adapter(tmp_path_factory.mktemp("start"))


async def trained(start: Path, run: Path, flipped: float, seed: int, **settings: Any) -> Path:
    """What comes of training with a judge that turns so many rewards round."""
    adapter = start
    lies = Lies(flipped_judgements=flipped)
    async with ScriptedServer(lies=lies, seed=seed, log=False) as server:
        simulator = {"base_url": server.base_url, "model": "world", "api_key_env": ""}
        async for step in simia_async.train_rl(
            run=run, adapter=str(start), simulator=simulator, seed=seed, **SETTINGS, **settings
        ):
            adapter = step.adapter
    return adapter


async def solved(adapter: Path, run: Path, seed: int) -> float:
    """Share of held-out tasks at T=1, by the exact check."""
    config = EvalConfig(adapters=(str(adapter),), tasks=TASKS, temperatures=(1,), seed=seed)
    scores = (await run_evaluate(config, run, report=print)).scores
    [score] = [each for each in scores if each.name == str(adapter)]
    return score.all.value


async def test_rewards_by_chance_change_nothing_on_average(start: Path, tmp_path: Path) -> None:
    changes = []
    for seed in range(5):
        before = await solved(start, tmp_path / f"before-{seed}.db", seed)
        # A coin decides whether the truth or its contrary is told: nothing of it is left.
        after = await trained(start, tmp_path / f"{seed}.db", 0.5, seed)
        changes.append(await solved(after, tmp_path / f"after-{seed}.db", seed) - before)
        print(seed, changes[-1])
    mean, deviation = statistics.mean(changes), statistics.stdev(changes)
    half = T_975 * deviation / len(changes) ** 0.5
    print(f"change {mean:+.3f} ± {half:.3f}")
    assert mean - half <= 0 <= mean + half, changes


async def test_rewards_of_the_contrary_harm(start: Path, tmp_path: Path) -> None:
    before = await solved(start, tmp_path / "before.db", 0)
    after = await trained(start, tmp_path / "r.db", 1.0, 0)
    change = await solved(after, tmp_path / "after.db", 0) - before
    print(f"change {change:+.3f}")
    assert change < -0.1


async def test_without_a_learning_rate_nothing_changes(start: Path, tmp_path: Path) -> None:
    after = await trained(start, tmp_path / "r.db", 0.0, 0, learning_rate=0.0)
    one, two = (load_file(place / "adapter_model.safetensors") for place in (start, after))
    assert one.keys() == two.keys()
    assert all((one[name] == two[name]).all() for name in one)
