"""(f) What near-duplicate detection costs, how far its estimate is off, and what it keeps of the
scripted author's re-tellings.

Uses the 100 real conversations of `shared/data`, which lie beside the checkout. CPU time of one
core; memory is what the process grows by.
"""

import random
import re
import statistics
import time
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

import psutil
from rensa import RMinHash

from simia_async.builtin.author import retell
from simia_async.environments import Seed, load_environment, load_seeds
from simia_async.environments.seeds import successful
from simia_async.messages import Message
from simia_async.synthesis.dedupe import Duplicates, Sketch, bands_for, shingles, sketch
from simia_async.synthesis.rules import apply_rules, fingerprint

REAL = Path(__file__).parents[2] / "shared/data/tau_bench/airline_gpt4o_trajectories.jsonl"
ENTRIES = 50_000
_WORD = re.compile(r"\w+")


def jaccard(a: set[bytes], b: set[bytes]) -> float:
    return len(a & b) / len(a | b)


def words_in_a_shingle(seeds: list[Seed]) -> None:
    """How well runs of n words tell tries of one task from other conversations."""
    print("words a shingle   other tasks: p99, max   other tries: median, max   one word changed")
    tasks = [_WORD.findall(text_of(seed.messages).lower()) for seed in seeds]
    for length in (1, 3, 5, 7, 9):
        sets = [{tuple(w[i : i + length]) for i in range(len(w) - length + 1)} for w in tasks]
        other, tries = [], []
        for a, b in combinations(range(len(seeds)), 2):
            same_task = a % 25 == b % 25
            (tries if same_task else other).append(len(sets[a] & sets[b]) / len(sets[a] | sets[b]))
        changed = [1 - 2 * length / (len(each) + length) for each in sets if len(each) > length]
        print(
            f"{length:15}   {statistics.quantiles(other, n=100)[98]:18.2f}, {max(other):.2f}"
            f"   {statistics.median(tries):20.2f}, {max(tries):.2f}"
            f"   {statistics.median(changed):16.3f}"
        )


def text_of(messages: list[Message]) -> str:
    calls = [call.function.arguments for m in messages for call in m.tool_calls or ()]
    return " ".join([*(m.content or "" for m in messages), *calls])


def error_of_the_estimate(seeds: list[Seed]) -> None:
    print("\npermutations   similarity   bias     standard error   worst   µs a sketch")
    rng = random.Random(0)
    sets = [sorted(set(shingles(seed.messages))) for seed in seeds]
    for permutations in (64, 128, 256):
        for target in (0.5, 0.7, 0.85, 0.95):
            errors, spent = [], 0.0
            for base in sets * 4:
                if len(base) < 100:
                    continue
                lost = int(len(base) * (1 - target) / (1 + target))
                gone = set(rng.sample(base, lost))
                other = [s for s in base if s not in gone] + [b"~" + s for s in gone]
                a, b = RMinHash(permutations, 1), RMinHash(permutations, 1)
                started = time.process_time()
                a.update(base)
                spent += time.process_time() - started
                b.update(other)
                errors.append(a.jaccard(b) - jaccard(set(base), set(other)))
            print(
                f"{permutations:12}   {target:10}   {statistics.mean(errors):+.3f}"
                f"   {statistics.stdev(errors):14.3f}   {max(map(abs, errors)):5.3f}"
                f"   {spent / len(errors) * 1e6:11.0f}"
            )


def cost_of_a_sketch(seeds: list[Seed]) -> None:
    sizes = {len(text_of(seed.messages)): seed.messages for seed in seeds}
    size = min(sizes, key=lambda size: abs(size - 11_000))
    times = []
    for _ in range(300):
        started = time.process_time()
        sketch(sizes[size])
        times.append(time.process_time() - started)
    print(f"\na sketch of {size / 1000:.1f} kB: {statistics.median(times) * 1e3:.2f} ms")


def cost_of_many(similarity: float) -> None:
    """Run in a process of its own, so that memory is counted from the start."""
    common = [shingle for seed in load_seeds(REAL) for shingle in set(shingles(seed.messages))]
    process = psutil.Process()
    before = process.memory_info().rss
    sketches = [partly_new_sketch(common, number) for number in range(ENTRIES)]
    duplicates = Duplicates(similarity)
    started = time.process_time()
    for number, each in enumerate(sketches):
        duplicates.add(f"trajectory {number}", f"{number:064}", each)
    added = time.process_time() - started
    grown = process.memory_info().rss - before
    asked = sketches[::25]
    started = time.process_time()
    for number, each in enumerate(asked):
        duplicates.of(f"?{number}", each)
    queried = time.process_time() - started
    print(
        f"{similarity:10}   {bands_for(similarity):5}   {added / ENTRIES * 1e6:9.1f}"
        f"   {queried / len(asked) * 1e6:9.1f}   {grown / ENTRIES:22.0f}",
        flush=True,
    )


def partly_new_sketch(common: list[bytes], number: int) -> Sketch:
    """As of one of many conversations about one environment: a third of it is from real ones."""
    rng = random.Random(number)
    minhash = RMinHash(128, 1)
    at = rng.randrange(len(common) - 200)
    minhash.update(common[at : at + 200])
    minhash.update([b"%d %d" % (number, at) for at in range(400)])
    return Sketch(minhash)


def kept(name: str, seeds: list[Seed], count: int, *, scripted_world: bool) -> None:
    environment = load_environment(name)
    started = time.process_time()
    told = [
        retell(seeds[number % len(seeds)].messages, number + 1, scripted_world=scripted_world)
        for number in range(count)
    ]
    spent = (time.process_time() - started) / count * 1e3
    sound = [m for m in told if apply_rules(m, environment).rejected_by is None]
    pairs = [(fingerprint(messages), sketch(messages)) for messages in sound]
    shares = []
    for similarity in (0.7, 0.8, 0.85, 0.9, 1.0):
        duplicates, new = Duplicates(similarity), 0
        for seed in seeds:
            duplicates.add(seed.id, fingerprint(seed.messages), sketch(seed.messages))
        for number, (print_, sketched) in enumerate(pairs):
            if duplicates.of(print_, sketched) is None:
                new += 1
                duplicates.add(str(number), print_, sketched)
        shares.append(f"{new / len(pairs):.1%}")
    print(f"{name:11}   {count:9}   {spent:5.2f}   {len(sound):5}   {'   '.join(shares)}")


def main() -> None:
    every = load_seeds(REAL)
    words_in_a_shingle(every)
    error_of_the_estimate(every)
    cost_of_a_sketch(every)
    print(
        f"\nsimilarity   bands   µs to add   µs to ask   bytes an entry at {ENTRIES:,}", flush=True
    )
    for similarity in (0.3, 0.5, 0.7, 0.85, 0.95):
        process = get_context("spawn").Process(target=cost_of_many, args=(similarity,))
        process.start()
        process.join()
    print("\nenvironment   re-told   ms each   sound   new at 0.7   0.8   0.85   0.9   1.0")
    kept("airline", successful(every), 3000, scripted_world=False)
    seeds_file = load_environment("mini-retail").seeds_file
    assert seeds_file is not None
    for count in (96, 288, 1500, 20_000):
        kept("mini-retail", load_seeds(seeds_file), count, scripted_world=True)


if __name__ == "__main__":
    main()
