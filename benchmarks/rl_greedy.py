"""What pushes greedy success up: GRPO after the demo's SFT with other steps, rates and groups.

    python -m benchmarks.rl_greedy --out runs/greedy [--seeds 1]

It takes about ten minutes a seed, of a core of its own.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import simia_async
from benchmarks.sim_to_real import evaluate, fine_tune
from simia_async.evaluation.shares import PolicyScore

ARMS: dict[str, dict[str, Any]] = {
    "12 steps, defaults": {},
    "36 steps, defaults": {"steps": 36},
    "36 steps, half the learning rate": {"steps": 36, "learning_rate": 5e-4},
    "24 steps, 4 groups of 16": {"steps": 24, "groups": 4, "group_size": 16},
}


async def compare(seed: int, out: Path) -> None:
    """A row for SFT and for every arm of a seed."""
    start = await fine_tune(seed, out)
    show(seed, "after SFT", await evaluate(start, seed, out / "sft-eval.db"))
    for number, (name, settings) in enumerate(ARMS.items()):
        adapter = start
        async for step in simia_async.train_rl(
            run=out / f"{number}.db", adapter=str(start), seed=seed, **settings
        ):
            adapter = step.adapter
        show(seed, name, await evaluate(adapter, seed, out / f"{number}-eval.db"))


def show(seed: int, name: str, scores: list[PolicyScore]) -> None:
    """Hits of all tasks, greedy by kind, and sampled."""
    greedy, sampled = scores
    kinds = [f"{share.hits}/{share.total}" for share in (greedy.needs_action, greedy.no_action)]
    cells = [str(seed), name, ", ".join([*kinds, str(greedy.all.hits)]), str(sampled.all.hits)]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    given = parser.parse_args()
    print("| seed | | greedy: needs action, no action, all | T=1, all |\n|---|---|---|---|")
    for seed in given.seeds:
        asyncio.run(compare(seed, given.out / f"seed-{seed}"))


if __name__ == "__main__":
    main()
