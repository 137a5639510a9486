"""Real tokens per second of SFT on the tiny base: packed rows against padded batches, in one run.

Both learn from the same samples, of the lengths of real conversations, with the same budget of
tokens a batch; medians over rounds that take turns.
"""

import random
import statistics
import tempfile
import time
from pathlib import Path

from simia_async.config import TINY, SftConfig
from simia_async.models import model_directory
from simia_async.training.adapters import attach_adapter
from simia_async.training.attention import PACKED
from simia_async.training.learner import Learner
from simia_async.training.samples import SftSample
from simia_async.training.sft import plan_steps

SAMPLES, ROUNDS = 16, 3


def made_samples() -> list[SftSample]:
    rng = random.Random(0)
    lengths = [rng.randint(300, 1000) for _ in range(SAMPLES)]
    return [
        SftSample(n, [rng.randrange(1000) for _ in range(t)], [int(k % 4 == 0) for k in range(t)])
        for n, t in enumerate(lengths)
    ]


def tokens_per_second(*, packing: bool, samples: list[SftSample], out: Path) -> float:
    config = SftConfig(packing=packing, epochs=1)
    attention = PACKED if packing else None
    learner = Learner(config, attach_adapter(model_directory(TINY), None, 16, (), attention), out)
    plan = plan_steps(config, [len(sample.ids) for sample in samples])
    started = time.perf_counter()
    for number, step in enumerate(plan, 1):
        learner.learn(number, [[samples[index] for index in batch] for batch in step], 1e-4)
    return sum(len(sample.ids) for sample in samples) / (time.perf_counter() - started)


def main() -> None:
    samples = made_samples()
    speeds: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as out:
        for _ in range(ROUNDS):
            for packing, measured in speeds.items():
                measured.append(tokens_per_second(packing=packing, samples=samples, out=Path(out)))
    packed, padded = (statistics.median(speeds[packing]) for packing in (True, False))
    print(f"packed {packed:.0f} tokens/s, padded {padded:.0f}: {packed / padded:.2f} times")


if __name__ == "__main__":
    main()
