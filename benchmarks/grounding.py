"""What grounding is worth and what it costs: contradictions by kind of lie, time by tool call.

Run with `python -m benchmarks.grounding` from the root of the checkout. The simulator is the lying
one of the tests, in memory, so that all the time is the worlds' own and that of its answers.
"""

import time

import anyio

from tests.lying_simulator import GROUP_SIZE, LIARS, LIES, planted, play_group, script, table

GROUPS = 125
REPEATS = 5


def main() -> None:
    planted_lies = dict.fromkeys(LIES, 0)
    for group in range(GROUPS):
        planted_lies[planted(group)[0]] += len(LIARS)
    transcript = anyio.run(lambda: table(GROUPS, grounded=False))
    grounded = anyio.run(lambda: table(GROUPS, grounded=True))
    print(f"Contradictions in {GROUPS * GROUP_SIZE:,} conversations\n")
    print(f"| {'the simulator …':<33} | planted | transcript | grounded |")
    print(f"|{'-' * 35}|--------:|-----------:|---------:|")
    for lie in LIES:
        print(
            f"| {lie:<33} | {planted_lies[lie]:>7} | {transcript[lie]:>10} | {grounded[lie]:>8} |"
        )
    total = (sum(planted_lies.values()), transcript.total(), grounded.total())
    print(f"| {'all':<33} | {total[0]:>7} | {total[1]:>10} | {total[2]:>8} |\n")
    plain_us, kept_us = microseconds(grounded=False), microseconds(grounded=True)
    print(f"A tool call: {plain_us:.0f} µs in transcript mode, {kept_us:.0f} µs grounded", end=" ")
    print(f"(+{kept_us - plain_us:.0f} µs, {kept_us / plain_us:.1f}×)")


def microseconds(*, grounded: bool) -> float:
    """Of one tool call, the best of some repeats."""
    calls = sum(len(script(group)) for group in range(GROUPS)) * GROUP_SIZE
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        anyio.run(lambda: _play_all(grounded=grounded))
        seconds.append(time.perf_counter() - begun)
    return min(seconds) / calls * 1e6


async def _play_all(*, grounded: bool) -> None:
    for group in range(GROUPS):
        await play_group(group, grounded=grounded)


if __name__ == "__main__":
    main()
