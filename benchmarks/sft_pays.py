"""Does Simia-SFT pay? The seeds alone, again and again, against 4 and 16 simulated trajectories a
seed: all learn from as many conversations, and play the same held-out tasks.

    python -m benchmarks.sft_pays [--seeds 0 1 2] [--model DIRECTORY] [--out DIRECTORY]

Simulator and world are the embedded, scripted ones. It takes about five minutes a seed.
"""

import argparse
import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

import msgspec
from simia_store import TrajectoryRecord, TrajectoryStatus, TurnRecord, open_store

from simia_async.config import TINY, EvalConfig, GenerateConfig, SftConfig
from simia_async.environments import load_environment
from simia_async.evaluation.shares import PolicyScore, Share
from simia_async.runs.evaluate import run_evaluate
from simia_async.runs.generate import run_generate
from simia_async.runs.material import read_material
from simia_async.runs.sft import run_sft

TIMES = (4, 16)
PASSES = 32
"""How often each seed is seen where there are only seeds; others learn from as many in all."""
HELDOUT_TASKS = 84


async def keep_the_seeds(path: Path) -> int:
    """A database that holds the usable seeds as kept trajectories; how many they are."""
    config = GenerateConfig()
    seeds = read_material(config).seeds
    async with open_store(path) as store:
        await store.append(load_environment(config.environment).as_record())
        for number, seed in enumerate(seeds, 1):
            kept = TrajectoryRecord(number, config.environment, seed.id, TrajectoryStatus.KEPT)
            turns = [
                TurnRecord(number, position, message.role, msgspec.to_builtins(message))
                for position, message in enumerate(seed.messages)
            ]
            await store.append(kept, *turns)
    return len(seeds)


async def compare(seed: int, model: str, place: Path) -> list[PolicyScore]:
    """One seed: the base and every arm, greedy and sampled."""
    runs = {"the seeds alone": place / "seeds.db"}
    seeds = await keep_the_seeds(runs["the seeds alone"])
    epochs = {"the seeds alone": PASSES}
    for times in TIMES:
        name = f"{times}× simulated"
        runs[name], epochs[name] = place / f"times-{times}.db", PASSES // times
        await run_generate(GenerateConfig(n=times * seeds, seed=seed), runs[name], report=print)
    adapters = {}
    for name, run in runs.items():
        config = SftConfig(model=model, epochs=epochs[name], seed=seed)
        tuned = await run_sft(
            config, [run], run.with_suffix(".sft.db"), run.with_suffix(".adapters")
        )
        adapters[str(tuned.adapter)] = name
        print(f"seed {seed}: {name}, {tuned.steps} steps, last loss {tuned.last_loss:.4f}")
    result = await run_evaluate(
        EvalConfig(model=model, adapters=tuple(adapters), tasks=HELDOUT_TASKS, seed=seed),
        place / "eval.db",
        report=print,
    )
    return [
        msgspec.structs.replace(score, name=adapters.get(score.name, score.name))
        for score in result.scores
    ]


def show(scores: list[PolicyScore]) -> None:
    """A row for each policy and temperature, all seeds counted together."""
    pooled: dict[tuple[str, str], list[PolicyScore]] = defaultdict(list)
    for score in scores:
        pooled[score.name, score.sampled].append(score)
    print("| policy | sampled | needs action | no action | needs action, by seed |")
    print("|---|---|---|---|---|")
    for (name, sampled), found in pooled.items():
        each = ", ".join(f"{score.needs_action.value:.2f}" for score in found)
        needs, no = (_together([getattr(s, kind) for s in found]) for kind in _KINDS)
        print(f"| {name} | {sampled} | {needs} | {no} | {each} |")


_KINDS = ("needs_action", "no_action")


def _together(shares: list[Share]) -> str:
    share = Share.of(shares)
    low, high = share.interval
    return f"{share.hits}/{share.total} = {share.value:.2f} ({low:.2f}–{high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", default=TINY)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        scores = []
        for seed in given.seeds:
            place = out / f"seed-{seed}"
            place.mkdir(parents=True)
            scores += asyncio.run(compare(seed, given.model, place))
            show(scores)


if __name__ == "__main__":
    main()
