"""Which seed the next trajectory is made from, and what it should be like.

A plan depends on the seeds, the settings and its number alone, never on what came of earlier ones:
so a run that goes on, or is done again, asks for the same. What is seldom among the plans so far
comes first: tools, and branches (an error, a hand-over, a conversation without calls).
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from simia_async.config import GenerateConfig
from simia_async.environments import Environment, Seed
from simia_async.simulation import Wishes

PERSONAS = (
    "polite and patient",
    "in a hurry, writes very short messages",
    "chatty, tells more than is needed",
    "unsure what they want, changes their mind once",
    "annoyed because it is not the first time they ask",
    "gives information only when asked for it",
    "precise, has all numbers at hand",
    "not a native speaker, simple words",
    "confuses two of their own ids and corrects it",
    "asks what the rules are before deciding",
)
_DIFFICULTIES = ("easy", "medium", "hard")
_SELDOM = 0.5
"""A tool planned less often than this share of the mean is asked for by name."""


class Plan(msgspec.Struct, frozen=True):
    """One trajectory to write."""

    index: int
    """Counts from 1."""
    seed: Seed
    wishes: Wishes


class Coverage:
    """How often each tool and branch was planned, and the seeds that show it, least used first."""

    def __init__(self, seeds: Sequence[Seed], environment: Environment) -> None:
        self.counts: Counter[str] = Counter()
        self._features = [features_of(seed, environment) for seed in seeds]
        self._uses = [0] * len(seeds)
        self._all = [(0, at) for at in range(len(seeds))]
        self._with: dict[str, list[tuple[int, int]]] = {}
        for at, features in enumerate(self._features):
            for feature in features:
                self._with.setdefault(feature, []).append((0, at))
                self.counts[feature] = 0

    def take(self) -> int:
        """The position of a seed that shows what is seldom, as long as no seed is used more than
        twice as often as the least used one; else of that one. It counts as planned.
        """
        least = self._least_used(self._all)
        feature = min(self._with, key=lambda name: (self.counts[name], name), default=None)
        at = least if feature is None else self._least_used(self._with[feature])
        fewest = self._uses[least]
        if self._uses[at] > fewest and self._uses[at] + 1 > 2 * fewest:
            at = least
        self._uses[at] += 1
        self.counts.update(self._features[at])
        return at

    def _least_used(self, heap: list[tuple[int, int]]) -> int:
        # Entries are brought up to date when they come to the top.
        while heap[0][0] != self._uses[heap[0][1]]:
            heapq.heapreplace(heap, (self._uses[heap[0][1]], heap[0][1]))
        return heap[0][1]


def features_of(seed: Seed, environment: Environment) -> frozenset[str]:
    """Tools that a seed calls, and branches that it takes."""
    called = {call.function.name for m in seed.messages for call in m.tool_calls or ()}
    branches = {"branch: no call"} if not called else set()
    if called & environment.ending_tools:
        branches.add("branch: handed over")
    observed = (m.content or "" for m in seed.messages if m.role == "tool")
    if any(text.lstrip().lower().startswith(("error", '{"error"')) for text in observed):
        branches.add("branch: error")
    return frozenset(called | branches)


def plans(
    seeds: Sequence[Seed], environment: Environment, config: GenerateConfig
) -> Iterator[Plan]:
    """Plans without end. `seeds` must not be empty."""
    coverage = Coverage(seeds, environment)
    asked: Counter[str] = Counter(dict.fromkeys(environment.validators, 0))
    index = 0
    while True:
        index += 1
        seed = seeds[coverage.take()]
        tools = _seldom(coverage.counts, asked)
        asked.update(tools)
        rng = random.Random(f"{config.seed}/{index}")
        yield Plan(index, seed, _wishes(config, rng, seed, tools))


def _seldom(counts: Counter[str], asked: Counter[str]) -> list[str]:
    """The tool that is planned least of all, if that is far less than the others are."""
    if not asked:
        return []
    planned = {name: counts[name] + times for name, times in asked.items()}
    name = min(planned, key=lambda each: (planned[each], each))
    mean = sum(planned.values()) / len(planned)
    return [name] if planned[name] < _SELDOM * mean else []


def _wishes(config: GenerateConfig, rng: random.Random, seed: Seed, tools: list[str]) -> Wishes:
    mixed = config.difficulty == "mixed"
    return Wishes(
        persona=rng.choice(config.personas or PERSONAS),
        scenario=rng.choice(config.scenarios) if config.scenarios else None,
        difficulty=rng.choice(_DIFFICULTIES) if mixed else config.difficulty,
        tools=tools,
        tool_error=rng.random() < config.tool_errors,
        refusal=rng.random() < config.refusals,
        turns=config.turns or len(seed.messages),
    )
