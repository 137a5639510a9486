"""How wrong simulator and judge may be until training with them gains nothing in the true world.

    python -m benchmarks.sim_to_real --out runs/sim-to-real [--seeds 0 1 2] [--steps 12]

Every arm is GRPO from the same SFT adapter, with a simulator of which a share of the observations
is wrong and a judge that turns a share of the rewards round, in a grounded or in a transcript
world. All are evaluated in the true world, by its exact check. Results stand in the directory as
they come; a second start goes on. It takes about a minute an arm, of a core of its own.
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import anyio
import msgspec

import simia_async
from benchmarks.untrue_simulator import UntrueSimulator, serve
from simia_async.builtin.mini_retail import MINI_RETAIL
from simia_async.builtin.scripted_worlds import draw_tasks
from simia_async.config import EvalConfig, GenerateConfig, SftConfig
from simia_async.environments import Task
from simia_async.evaluation.shares import PolicyScore, Share
from simia_async.runs.demo_data import DEMO_TRAJECTORIES
from simia_async.runs.evaluate import run_evaluate
from simia_async.runs.generate import run_generate
from simia_async.runs.sft import run_sft
from simia_async.testing import Lies

WORLDS = ("grounded", "transcript")
WRONG = (0.1, 0.2, 0.4)
FLIPPED = (0.1, 0.2, 0.3)
LIES = [
    Lies(),
    *[Lies(wrong_observations=share) for share in WRONG],
    *[Lies(flipped_judgements=share) for share in FLIPPED],
    Lies(wrong_observations=WRONG[-1], flipped_judgements=FLIPPED[-1]),
]
GROUPS = 8
HELD_OUT = 126
"""Six of every template."""


class Arm(msgspec.Struct, frozen=True):
    """One way to be trained."""

    world: str
    lies: Lies

    @property
    def name(self) -> str:
        """Such as `grounded-10-0`."""
        wrong, flipped = self.lies.wrong_observations, self.lies.flipped_judgements
        return f"{self.world}-{round(100 * wrong)}-{round(100 * flipped)}"


ARMS = [Arm(world, lies) for lies in LIES for world in WORLDS]


class Result(msgspec.Struct, frozen=True):
    """How the policy of one arm, or the one that all began with (`arm` is empty), did."""

    seed: int
    arm: str
    scores: list[PolicyScore]
    """Greedy, then sampled."""


class Results:
    """A file of them, a line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_bytes().splitlines() if path.exists() else []
        self.all = [msgspec.json.decode(line, type=Result) for line in lines]

    def add(self, result: Result) -> None:
        """Write one more down."""
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")
        self.all.append(result)

    def holds(self, seed: int, arm: str) -> bool:
        """Whether this one is there."""
        return any((result.seed, result.arm) == (seed, arm) for result in self.all)


async def study(seed: int, steps: int, out: Path, results: Results) -> None:
    """All arms of a seed that have no result yet."""
    place = out / f"seed-{seed}"
    start = await fine_tune(seed, place)
    if not results.holds(seed, ""):
        results.add(Result(seed, "", await evaluate(start, seed, place / "eval.db")))
    tasks = draw_tasks(MINI_RETAIL, steps * GROUPS, split="train", seed=seed)
    for arm in ARMS:
        if not results.holds(seed, arm.name):
            adapter = await train(arm, tasks, start, steps, seed, place)
            scores = await evaluate(adapter, seed, place / f"{arm.name}-eval.db")
            results.add(Result(seed, arm.name, scores))
            print("\n".join(table(results.all)), flush=True)


async def fine_tune(seed: int, place: Path) -> Path:
    """The adapter that all arms of a seed begin with, which SFT makes as in the demo."""
    await anyio.Path(place).mkdir(parents=True, exist_ok=True)
    start = place / "sft" / "v00001"
    if not await anyio.Path(start).exists():
        await run_generate(
            GenerateConfig(n=DEMO_TRAJECTORIES, seed=seed), place / "data.db", report=print
        )
        await run_sft(SftConfig(seed=seed), [place / "data.db"], place / "sft.db", place / "sft")
    return start


async def train(
    arm: Arm, tasks: list[Task], start: Path, steps: int, seed: int, place: Path
) -> Path:
    """The adapter that an arm ends with."""
    file = place / "tasks.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(task) + b"\n" for task in tasks))
    adapter = start
    async with serve(UntrueSimulator(tasks, arm.lies, seed)) as simulator:
        async for step in simia_async.train_rl(
            run=place / f"{arm.name}.db",
            simulator=simulator,
            adapter=str(start),
            tasks_file=str(file),
            world=arm.world,
            steps=steps,
            groups=GROUPS,
            seed=seed,
        ):
            adapter = step.adapter
    return adapter


async def evaluate(adapter: Path, seed: int, run: Path) -> list[PolicyScore]:
    """Greedy and sampled, in the true world."""
    await anyio.Path(run).unlink(missing_ok=True)
    config = EvalConfig(adapters=(str(adapter),), tasks=HELD_OUT, seed=seed)
    result = await run_evaluate(config, run, report=print)
    return [score for score in result.scores if score.name == str(adapter)]


def table(results: Iterable[Result]) -> Iterator[str]:
    """A row for each arm, its seeds counted together."""
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result.arm].append(result)
    yield (
        "| wrong observations | flipped rewards | world | T=1 | needs action | no action | greedy "
        "| T=1 by seed |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for arm in [None, *ARMS]:
        found = by_arm.get(arm.name if arm else "", [])
        if not found:
            continue
        greedy, sampled = ([result.scores[n] for result in found] for n in (0, 1))
        cells = (
            [f"{arm.lies.wrong_observations:.0%}", f"{arm.lies.flipped_judgements:.0%}", arm.world]
            if arm
            else ["before RL", "", ""]
        )
        cells += [shown(Share.of(each.all for each in sampled)), *kinds(sampled)]
        cells += [
            shown(Share.of(each.all for each in greedy)),
            ", ".join(f"{each.all.value:.2f}" for each in sampled),
        ]
        yield f"| {' | '.join(cells)} |"


def kinds(scores: list[PolicyScore]) -> tuple[str, str]:
    """Tasks that need an action and tasks that do not, counted together."""
    return (
        shown(Share.of(score.needs_action for score in scores)),
        shown(Share.of(score.no_action for score in scores)),
    )


def shown(share: Share) -> str:
    """With its interval."""
    low, high = share.interval
    return f"{share.value:.2f} ({low:.2f}–{high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    results = Results(given.out / "results.jsonl")
    for seed in given.seeds:
        asyncio.run(study(seed, given.steps, given.out, results))
    print("\n".join(table(results.all)))


if __name__ == "__main__":
    main()
