"""Where the gain vanishes, as a picture: what `benchmarks.sim_to_real` found, with matplotlib.

    .bench-venv/bin/python benchmarks/sim_to_real_plot.py RESULTS.jsonl OUT.svg

Groups of points are the seeds, lines go through their means.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

COLOURS = {"grounded": "#1f6fb4", "transcript": "#c44e2b"}
AXES = ("wrong observations", "flipped rewards")


def solved(score: dict) -> float:
    """Share of all tasks."""
    shares = [score["needs_action"], score["no_action"]]
    return sum(share["hits"] for share in shares) / sum(share["total"] for share in shares)


def gains(file: Path) -> dict[str, list[float]]:
    """Points by which GRPO lifted success at T=1, for each arm a value a seed."""
    results = [json.loads(line) for line in file.read_text().splitlines()]
    before = {r["seed"]: solved(r["scores"][1]) for r in results if not r["arm"]}
    found = defaultdict(list)
    for result in (result for result in results if result["arm"]):
        found[result["arm"]].append(100 * (solved(result["scores"][1]) - before[result["seed"]]))
    return found


def draw(found: dict[str, list[float]], out: Path) -> None:
    """A plot for what is wrong, and one for what is flipped; the other is 0."""
    plt.rcParams |= {"svg.hashsalt": "simia", "font.size": 9}
    figure, plots = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True, layout="constrained")
    for number, (plot, title) in enumerate(zip(plots, AXES, strict=True)):
        for shift, (world, colour) in zip((-0.4, 0.4), COLOURS.items(), strict=True):
            shares = {}
            for arm, values in found.items():
                name, *lies = arm.split("-")
                if name == world and int(lies[1 - number]) == 0:
                    shares[int(lies[number])] = values
            places = sorted(shares)
            means = [statistics.mean(shares[share]) for share in places]
            plot.plot([p + shift for p in places], means, color=colour, label=world)
            for share in places:
                seeds = shares[share]
                plot.plot([share + shift] * len(seeds), seeds, "o", color=colour, ms=3, alpha=0.6)
        plot.axhline(0, color="#888888", lw=0.8)
        plot.set_xlabel(f"{title}, %")
        plot.grid(axis="y", color="#e5e5e5")
    plots[0].set_ylabel("gain of GRPO in the true world\n(points of success at T=1)")
    plots[0].legend(frameon=False)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    draw(gains(Path(sys.argv[1])), Path(sys.argv[2]))
