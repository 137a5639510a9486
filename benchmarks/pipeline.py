"""(d) Simia-SFT's data half: our pipeline against the reference's pattern, per CPU-second.

Both make the same trajectories, from the real airline seeds: the same prompts go to the same author
(a process of its own, which answers at once with what was written before), and the same rules and
the same comparison go over the answers. Each run is a fresh process, whose CPU time counts, all
threads included; sides take turns.

The reference rewrites its file at every barrier, 2,500 samples apart, so that its cost per
trajectory grows with the run. Here all is a twenty-fifth of that: a barrier every 100.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_work import SEEDS, answers, material_of
from serving import Mock, running

HERE = Path(__file__).parent
SCALE = 25
BATCH = 2500 // SCALE
LONG, SHORT = 50_000 // SCALE, 10_000 // SCALE
NOWHERE = "http://127.0.0.1:1/v1"

Result = dict[str, Any]


@contextmanager
def author(bodies: Sequence[bytes]) -> Iterator[Mock]:
    """The author, until the context ends."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(bodies))
        file.flush()
        with running("pipeline_mock.py", file.name) as mock:
            yield mock


def run(side: str, n: int, *arguments: object) -> Result:
    """One run in a fresh process; what it printed, and how it went per trajectory."""
    command = [sys.executable, str(HERE / f"pipeline_{side}.py"), *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"{side} failed:\n{said.stderr[-2000:]}")
    result: Result = json.loads(said.stdout.splitlines()[-1])
    if result["kept"] != n:
        raise SystemExit(f"{side} kept {result['kept']} of {n}")
    return result


def rounds_of(url: str, rounds: int, n: int, ways: dict[str, str]) -> dict[str, list[Result]]:
    """Results by who it was; `ways` are those of the reference's saving, by name."""
    results: dict[str, list[Result]] = {name: [] for name in ("ours", *ways)}
    for _ in range(rounds):
        results["ours"].append(run("ours", n, url, n))
        for name, saving in ways.items():
            results[name].append(run("reference", n, url, n, BATCH, saving))
    return results


def print_ratios(results: dict[str, list[Result]], n: int) -> None:
    """Lines of the first table."""
    for name, runs in results.items():
        rates = [n / each["cpu_s"] for each in runs]
        walls = [n / each["wall_s"] for each in runs]
        pairs = zip(results["ours"], runs, strict=True)
        ratios = [theirs["cpu_s"] / ours["cpu_s"] for ours, theirs in pairs]
        times = f"**{statistics.median(ratios):.2f}×** ({min(ratios):.2f}–{max(ratios):.2f})"
        print(
            f"| {name} | {n * SCALE:,} | {statistics.median(rates):,.0f} | "
            f"{statistics.median(walls):,.0f} | {'' if name == 'ours' else times} |",
            flush=True,
        )


def print_parts(name: str, runs: list[Result], n: int) -> None:
    """The table of where the time goes. Medians of each part."""
    print(f"\n{name}, milliseconds of CPU a trajectory:\n\n| part | ms | share |\n|---|---|---|")
    whole = statistics.median(each["cpu_s"] for each in runs)
    parts = {p: statistics.median(each["parts"][p] for each in runs) for p in runs[0]["parts"]}
    parts["the rest"] = whole - sum(parts.values())
    for part, cpu_s in sorted(parts.items(), key=lambda item: -item[1]):
        if cpu_s:
            print(f"| {part} | {cpu_s / n * 1000:.2f} | {cpu_s / whole:.0%} |")
    print(f"| all | {whole / n * 1000:.2f} | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if not SEEDS.exists():
        raise SystemExit(f"the seeds of this benchmark are not there: {SEEDS}")
    with author(answers(material_of(NOWHERE), LONG + 1)) as mock:
        print(
            "\n| | trajectories, to scale | per CPU-second | per second | ours is |\n"
            "|---|---|---|---|---|"
        )
        short = rounds_of(mock.url, arguments.rounds, SHORT, {"the reference's pattern": "batch"})
        print_ratios(short, SHORT)
        ways = {
            "the reference's pattern": "batch",
            "the same, file written once": "end",
            "the same, with its log and all its passes": "all",
        }
        long = rounds_of(mock.url, arguments.rounds, LONG, ways)
        print_ratios(long, LONG)
        said = mock.summary()
    print(
        f"\nPrompts of {said['prompt_characters'] / 1000:.1f} kB and replies of "
        f"{said['reply_characters'] / 1000:.1f} kB on average."
    )
    print_parts("Ours", long["ours"], LONG)
    print_parts("The reference's pattern", long["the reference's pattern"], LONG)
    lags = {p: statistics.median(r[f"lag_{p}_s"] for r in long["ours"]) for p in ("p50", "p99")}
    print(
        f"\nOur event loop, at full speed: lag {lags['p50'] * 1000:.0f} ms at the median, "
        f"{lags['p99'] * 1000:.0f} ms at the 99th percentile."
    )


if __name__ == "__main__":
    main()
