"""Train on some worlds, succeed in another: SFT and GRPO on all scripted worlds but one, evaluated
in that one; each of them in turn.

    python -m benchmarks.unseen_world --out runs/unseen [--seeds 0 1 2] [--worlds mini-retail …]

GRPO goes round the worlds, a few steps in each, every time from where it was left. The base is the
tiny one with room for longer conversations: it was made for desks such as mini-retail's and knows
nothing of the others. Results stand in the directory as they come; a second start goes on. It takes
about ten minutes a world and seed, of a core of its own, most of them to hear out policies that
know no end.
"""

import argparse
import asyncio
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

import simia_async
from benchmarks.sim_to_real import kinds
from simia_async.builtin.scripted_worlds import SCRIPTED_WORLDS
from simia_async.config import TINY
from simia_async.evaluation.shares import PolicyScore
from simia_async.models import model_directory

CONTEXT = 2048
TRAJECTORIES = 96
"""That are generated in each world."""
ROUNDS, STEPS = 2, 2
"""Of GRPO: times round the worlds, and steps each time."""
HELD_OUT = 42
POLICIES = ("base", "SFT", "GRPO")


class Result(msgspec.Struct, frozen=True):
    """How base, SFT and GRPO did in a world that neither was trained on."""

    world: str
    seed: int
    scores: list[PolicyScore]
    """Of each policy, greedy and then sampled."""


def make_base(place: Path) -> Path:
    """The tiny base, with room for `CONTEXT` tokens."""
    base = place / "base"
    if not base.exists():
        shutil.copytree(model_directory(TINY), base)
        file = base / "config.json"
        config = msgspec.json.decode(file.read_bytes())
        file.write_bytes(msgspec.json.encode(config | {"max_position_embeddings": CONTEXT}))
    return base


async def generate(world: str, seed: int, place: Path) -> Path:
    """A run that kept trajectories of a world."""
    run = place / f"{world}.db"
    if not run.exists():
        await simia_async.generate(run=run, environment=world, n=TRAJECTORIES, seed=seed)
    return run


async def leave_out(world: str, seed: int, out: Path) -> Result:
    """One world left out, with one seed."""
    base = str(make_base(out))
    others = [name for name in SCRIPTED_WORLDS if name != world]
    shared, place = out / f"seed-{seed}", out / f"seed-{seed}" / world
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    data = [await generate(name, seed, shared) for name in others]
    tuned = await simia_async.train_sft(data, run=place / "sft.db", model=base, seed=seed)
    adapter = tuned.adapter
    for number in range(ROUNDS * len(others)):
        async for step in simia_async.train_rl(
            run=place / f"rl-{number}.db",
            environment=others[number % len(others)],
            model=base,
            adapter=str(adapter),
            steps=STEPS,
            seed=100 * seed + number,
        ):
            adapter = step.adapter
            print(world, seed, others[number % len(others)], step.reward_mean, flush=True)
    result = await simia_async.evaluate(
        run=place / "eval.db",
        environment=world,
        model=base,
        adapters=(str(tuned.adapter), str(adapter)),
        tasks=HELD_OUT,
        seed=seed,
    )
    return Result(world, seed, result.scores)


def table(results: Iterable[Result]) -> Iterator[str]:
    """A row for each world that was left out and each policy, its seeds counted together."""
    by_world: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_world[result.world].append(result)
    yield (
        "| unseen world | policy | needs action, greedy | T=1 | no action, greedy | T=1 "
        "| needs action at T=1, by seed |"
    )
    yield "|---|---|---|---|---|---|---|"
    for world, found in by_world.items():
        for number, policy in enumerate(POLICIES):
            greedy = [result.scores[2 * number] for result in found]
            sampled = [result.scores[2 * number + 1] for result in found]
            (needs, no), (needs_sampled, no_sampled) = kinds(greedy), kinds(sampled)
            cells = [world, policy, needs, needs_sampled, no, no_sampled]
            by_seed = ", ".join(f"{score.needs_action.value:.2f}" for score in sampled)
            yield f"| {' | '.join([*cells, by_seed])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--worlds", nargs="+", default=list(SCRIPTED_WORLDS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "results.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    results = [msgspec.json.decode(line, type=Result) for line in lines]
    for seed in given.seeds:
        for world in given.worlds:
            if not any((each.world, each.seed) == (world, seed) for each in results):
                results.append(asyncio.run(leave_out(world, seed, given.out)))
                with file.open("ab") as ledger:
                    ledger.write(msgspec.json.encode(results[-1]) + b"\n")
                print("\n".join(table(results)), flush=True)
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
