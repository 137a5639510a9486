"""(a) Calls per CPU-second: our call path, with governor, ledger and store on, against the others.

Every stack plays the same conversations against the same mock, in turns, each in a fresh process
whose CPU time counts, all threads included. Prints medians, and the ratios of each round.
"""

import argparse
import statistics
import sys
from pathlib import Path

from serving import mock, run_stack

STACKS = ("ours", "openai_async", "litellm_async", "openai_sync")
SHAPES = {"small histories": (1000, 4, 1), "histories of 60 messages": (1000, 1, 60)}
"""Conversations at once, calls each, messages that they begin with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litellm-python", default=sys.executable)
    arguments = parser.parse_args()
    pythons = dict.fromkeys(STACKS, sys.executable)
    pythons["litellm_async"] = arguments.litellm_python
    stacks = STACKS
    if not Path(arguments.litellm_python).exists():
        raise SystemExit("no Python with litellm: see --litellm-python, or use `make bench`")
    with mock() as server:
        for title, shape in SHAPES.items():
            rates: dict[str, list[float]] = {stack: [] for stack in stacks}
            writer: list[float] = []
            for _ in range(arguments.rounds):
                for stack in stacks:
                    result = run_stack(pythons[stack], stack, server.url, *shape)
                    rates[stack].append(result["calls"] / result["cpu_s"])
                    if "writer_s" in result:
                        writer.append(result["writer_s"] / result["cpu_s"])
            print(f"\n{title}: {shape[0]} conversations at once, {shape[1]} calls each\n")
            print("| stack | calls per CPU-second | ours is |\n|---|---|---|")
            for stack in stacks:
                ratios = [a / b for a, b in zip(rates["ours"], rates[stack], strict=True)]
                times = f"{statistics.median(ratios):.0f}× ({min(ratios):.0f}–{max(ratios):.0f})"
                print(
                    f"| {stack} | {statistics.median(rates[stack]):.0f} | "
                    f"{'' if stack == 'ours' else times} |",
                    flush=True,
                )
            share = statistics.median(writer)
            print(f"\nThe store's writer took {share:.0%} of our CPU time here.")


if __name__ == "__main__":
    main()
