"""(f) Workers: what a turn costs in CPU time with none, one and two, and how much faster they are.

The same conversations against the same mock, in alternating runs, each in a fresh process; the CPU
time of the owner and of its workers counts, that of the mock does not. Beginning a process costs
the same however long it runs: a few conversations are played first, and what they cost is taken
off. Throughput is told where there are six cores or more, for mock, owner and workers need one
each. About twelve minutes on two cores.
"""

import argparse
import os
import statistics

from rollouts import TURNS, Result, run, world

WORKERS = (0, 1, 2)
FEW, MANY = 30, 900
CORES = 6


def marginal(few: Result, many: Result, what: str) -> float:
    """What each turn more has cost, in seconds of CPU or of wall time."""
    return (many[what] - few[what]) / (many["turns"] - few["turns"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--many", type=int, default=MANY)
    options = parser.parse_args()
    costs: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    rates: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    with world() as mock:
        for number in range(options.rounds):
            # The other way round in every second round: the machine's speed drifts.
            for workers in WORKERS if number % 2 == 0 else reversed(WORKERS):
                few = run(mock, "ours", options.few, TURNS, workers)
                many = run(mock, "ours", options.many, TURNS, workers)
                costs[workers].append(marginal(few, many, "cpu_s"))
                rates[workers].append(1 / marginal(few, many, "wall_s"))
    print(f"\n{options.many} conversations at once, {TURNS} policy turns each, no latency:\n")
    print("| workers | CPU per 1,000 turns | against one | turns a second | against none |")
    print("|---|---|---|---|---|")
    for workers in WORKERS:
        against_one = _ratio(costs[workers], costs[1])
        rate, faster = "–", "–"
        if (os.cpu_count() or 1) >= CORES:
            rate = f"{statistics.median(rates[workers]):,.0f}"
            faster = _ratio(rates[workers], rates[0])
        cost = statistics.median(costs[workers]) * 1000
        print(f"| {workers} | {cost:.2f} s | {against_one} | {rate} | {faster} |")


def _ratio(these: list[float], those: list[float]) -> str:
    """Median of the ratios of each round, and their range."""
    ratios = [a / b for a, b in zip(these, those, strict=True)]
    return f"{statistics.median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"


if __name__ == "__main__":
    main()
