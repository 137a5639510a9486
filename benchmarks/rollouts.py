"""(e) Runs of rollouts: how many conversations at once, at what cost, and how late the last end.

All stacks play the very same conversations against the same mock of policy and world, each run in
a fresh process whose CPU time counts, all threads included. Ours is the whole product: grounded
world, ledger, judge, every turn on disk before the next call. The others store nothing.

The ideal is the greatest sum of latencies that the mock drew for one conversation. About five
minutes on two cores.
"""

import argparse
import statistics
import sys
from contextlib import AbstractContextManager

from serving import Mock, run_stack, running

SCALES = ((1000, 8, 1.0), (5000, 4, 5.0))
"""Conversations at once, how often the policy speaks in each, mean latency in seconds."""
CONVERSATIONS, TURNS = 300, 8
PROBES = 100
TAIL_CONVERSATIONS, TAIL_LATENCY_S = 128, 0.25
THREADS = 16
"""Worlds that the reference lets answer at once."""
SPREAD = 0.5
"""Sigma of the lognormal latencies."""
SHARES = (50, 90, 99, 100)

Result = dict[str, float]


def world(latency: str = "none") -> AbstractContextManager[Mock]:
    """The mock of policy and world, until the context ends."""
    return running("rollouts_mock.py", latency)


def run(mock: Mock, stack: str, *arguments: object) -> Result:
    """One run, and what the mock says of it. Every stack must have asked for the same."""
    result = run_stack(sys.executable, f"rollout_{stack}", mock.url, *arguments)
    result |= mock.summary()
    if result["requests"] != result["calls"]:
        raise SystemExit(f"{stack}: {result['requests']} requests, not {result['calls']}")
    return result


def print_scales() -> None:
    """The table of what one process holds."""
    print(
        "\n| conversations | policy turns | mean latency | turns stored | ideal | wall | ratio | "
        "p99 lag | peak memory | CPU |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for conversations, turns, mean_s in SCALES:
        with world(f"lognormal:{mean_s},{SPREAD}") as mock:
            seen = run(mock, "ours", conversations, turns)
        print(
            f"| {conversations:,} | {turns} | {mean_s:g} s | {seen['turns']:,} | "
            f"{seen['ideal_s']:.1f} s | {seen['wall_s']:.1f} s | "
            f"{seen['wall_s'] / seen['ideal_s']:.3f}× | {seen['lag_p99_s'] * 1000:.0f} ms | "
            f"{seen['peak_mb']:.0f} MB | {seen['cpu_s'] / seen['wall_s']:.0%} |",
            flush=True,
        )


def cheaper_pool() -> str:
    """The limits of the connection pool that cost `gather` less."""
    with world() as mock:
        costs = {
            limits: run(mock, "gather", PROBES, TURNS, limits)["cpu_s"]
            for limits in ("default", "unlimited")
        }
    return min(costs, key=costs.__getitem__)


def print_costs(rounds: int, pool: str) -> None:
    """The table of turns per CPU-second. Medians, and the ratios of each round."""
    stacks: dict[str, tuple[object, ...]] = {
        "ours": ("ours",),
        "a barrier a turn, 16 threads": ("barrier", THREADS, THREADS),
        f"gather over AsyncOpenAI, {pool} pool": ("gather", pool),
    }
    runs: dict[str, list[Result]] = {title: [] for title in stacks}
    with world() as mock:
        for _ in range(rounds):
            for title, (stack, *more) in stacks.items():
                runs[title].append(run(mock, str(stack), CONVERSATIONS, TURNS, *more))
    print(f"\n{CONVERSATIONS} conversations at once, {TURNS} policy turns each, no latency:\n")
    print("| | turns per CPU-second | ours is |\n|---|---|---|")
    for title, results in runs.items():
        rate = statistics.median(each["turns"] / each["cpu_s"] for each in results)
        pairs = zip(runs["ours"], results, strict=True)
        ratios = [theirs["cpu_s"] / ours["cpu_s"] for ours, theirs in pairs]
        times = f"{statistics.median(ratios):.1f}× ({min(ratios):.1f}–{max(ratios):.1f})"
        print(f"| {title} | {rate:,.0f} | {'' if title == 'ours' else times} |", flush=True)


def print_tails(pool: str) -> None:
    """The table of when conversations end."""
    n = TAIL_CONVERSATIONS
    stacks: dict[str, tuple[object, ...]] = {
        "ours": ("ours",),
        f"a barrier a turn, {n} policies and 16 worlds at once": ("barrier", n, THREADS),
        f"a barrier a turn, {n} policies and {n} worlds at once": ("barrier", n, n),
        f"gather over AsyncOpenAI, {pool} pool": ("gather", pool),
    }
    print(
        f"\n{n} conversations at once, {TURNS} policy turns each, latency {TAIL_LATENCY_S:g} s; "
        "when so many of them had ended:\n"
    )
    print("| |", " | ".join(f"{share}%" for share in SHARES), "| of the ideal |")
    print("|---" * (len(SHARES) + 2) + "|")
    with world(f"lognormal:{TAIL_LATENCY_S},{SPREAD}") as mock:
        for title, (stack, *more) in stacks.items():
            seen = run(mock, str(stack), n, TURNS, *more)
            ends = [seen[f"ended_{share}"] for share in SHARES]
            print(
                f"| {title} |",
                " | ".join(f"{end:.1f} s" for end in ends),
                f"| {ends[-1] / seen['ideal_s']:.2f}× |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print_scales()
    pool = cheaper_pool()
    print_costs(arguments.rounds, pool)
    print_tails(pool)


if __name__ == "__main__":
    main()
