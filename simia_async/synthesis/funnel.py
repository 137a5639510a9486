"""From seeds to kept trajectories: what a run left out on the way, and why, by its own record."""

from collections import Counter

import msgspec
from simia_store import Reader, SeedStatus, TrajectoryStatus

DUPLICATES = ("duplicate", "near_duplicate")


class Funnel(msgspec.Struct, frozen=True):
    """Counts at each step."""

    seeds_read: int
    seeds_used: int
    seeds_reconstructed: int
    """Part of those used: what their file did not tell was filled in by the reviewer."""
    seeds_rejected: dict[str, int]
    """By cause."""
    played: int
    """Rollouts that have ended; what is simulated in their run is made of the good ones."""
    scored: int
    """Of them: with a reward."""
    simulated: int
    """Trajectories that have ended and may be kept."""
    repaired: dict[str, int]
    """Trajectories by the rule that repaired them; some were repaired by several."""
    rejected: dict[str, int]
    """By rule, or by what failed; without duplicates."""
    duplicates: dict[str, int]
    kept: int
    under_way: int
    """Begun and not ended, or not told from the others yet."""


def funnel_of(reader: Reader) -> Funnel:
    """The funnel of a run that keeps trajectories. Reads every trajectory once."""
    seeds: Counter[str] = Counter()
    reconstructed = 0
    for seed in reader.seeds():
        seeds[seed.cause or seed.status] += 1
        reconstructed += bool(seed.detail.get("reconstructed"))
    repaired: Counter[str] = Counter()
    for trajectory in reader.trajectories():
        repaired.update({each["rule"] for each in trajectory.detail.get("repairs", ())})
    outcomes: dict[TrajectoryStatus, Counter[str]] = {}
    for outcome in reader.outcomes():
        outcomes.setdefault(outcome.status, Counter())[outcome.cause] += outcome.count
    rejected = outcomes.get(TrajectoryStatus.REJECTED, Counter())
    kept = outcomes.get(TrajectoryStatus.KEPT, Counter()).total()
    scored = outcomes.get(TrajectoryStatus.SCORED, Counter()).total()
    open_statuses = (TrajectoryStatus.RUNNING, TrajectoryStatus.PASSED)
    return Funnel(
        seeds_read=seeds.total(),
        seeds_used=seeds[SeedStatus.USED],
        seeds_reconstructed=reconstructed,
        seeds_rejected={c: n for c, n in seeds.most_common() if c != SeedStatus.USED},
        played=scored + outcomes.get(TrajectoryStatus.UNSCORED, Counter()).total(),
        scored=scored,
        simulated=rejected.total() + kept,
        repaired=dict(repaired.most_common()),
        rejected={c: n for c, n in rejected.most_common() if c not in DUPLICATES},
        duplicates={c: rejected[c] for c in DUPLICATES if rejected[c]},
        kept=kept,
        under_way=sum(outcomes.get(s, Counter()).total() for s in open_statuses),
    )


def coverage_of(reader: Reader) -> dict[str, int]:
    """How many kept trajectories call each declared tool, the seldom ones first."""
    counts = {tool["function"]["name"]: 0 for tool in reader.environment().tools}
    for trajectory in reader.trajectories(status=TrajectoryStatus.KEPT):
        for name in trajectory.detail.get("tools", ()):
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (item[1], item[0])))
