"""Our rollouts beside those of others: the same conversations, the same mock, one run.

    python -m benchmarks.peers --conversations 300 --turns 8 --rounds 3 --parts work

Players alternate, each in a fresh process of its own environment; figures are medians of the
rounds. `make peers-venv` installs the peers; one that is not there is left out, and said so. What
is measured how, and what is fair about it, stands in docs/performance.md.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.peers.running import PLAYERS, Failed, Result, play
from benchmarks.peers.tables import (
    Column,
    print_table,
    refusal_columns,
    turns_of,
    waiting_columns,
    work_columns,
)
from benchmarks.serving import running


class Part(NamedTuple):
    """One way to be asked."""

    told: str
    latency: str
    refused: float


PARTS = {
    "work": Part("answers come at once", "none", 0.0),
    "waiting": Part("latency lognormal, mean 1 s", "lognormal:1,0.5", 0.0),
    "refusals": Part("latency 0.25 s, 20% of requests get HTTP 429", "lognormal:0.25,0.5", 0.2),
}


def columns_of(part: str, conversations: int, turns: int) -> list[Column]:
    """What is told of it."""
    if part == "work":
        return work_columns(conversations, turns)
    return waiting_columns() if part == "waiting" else refusal_columns(conversations, turns)


def measure(name: str, players: Sequence[str], arguments: argparse.Namespace) -> None:
    """Play a part, and print its table."""
    part, conversations, turns = PARTS[name], arguments.conversations, arguments.turns
    runs: dict[str, list[Result]] = {PLAYERS[player].title: [] for player in players}
    failures: dict[str, str] = {}
    for _ in range(arguments.rounds):
        for player in map(PLAYERS.__getitem__, players):
            if player.title in failures:
                continue
            # A mock of its own, so that nobody is kept waiting by what another left behind.
            with running("rollouts_mock.py", part.latency, str(part.refused)) as mock:
                try:
                    runs[player.title].append(
                        play(player, mock, conversations, turns, arguments.limit)
                    )
                except Failed as failed:
                    failures[player.title] = f"{player.title}: {failed}"
    print(
        f"\n**{name}**: {conversations} conversations at once, {turns} turns of the policy and "
        f"{turns_of(turns)} in all, {part.told}, {arguments.rounds} rounds\n"
    )
    print_table(columns_of(name, conversations, turns), runs, list(failures.values()))
    _print_details(runs)


def _print_details(runs: dict[str, list[Result]]) -> None:
    """Versions, and whether everybody asked for the same."""
    print()
    for title, results in runs.items():
        for result in results[:1]:
            print(
                f"- {title} {result['version']}: {result['requests']:,} requests served "
                f"({result['repeated']} again), {result['megabytes']:.1f} MB of prompts"
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--turns", type=int, default=8, help="of the policy; even")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=240, help="seconds for one player, at most")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--players", nargs="+", choices=PLAYERS, default=list(PLAYERS))
    arguments = parser.parse_args()
    players = [name for name in arguments.players if PLAYERS[name].python.exists()]
    for name in set(arguments.players) - set(players):
        print(f"{name}: not installed, see `make peers-venv`")
    for part in arguments.parts:
        measure(part, players, arguments)


if __name__ == "__main__":
    main()
