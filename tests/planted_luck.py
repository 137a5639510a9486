"""Rewards with planted luck: how much of their variance is whose is known."""

import random

import msgspec

from simia_async.evaluation.variance import TaskRewards, split_variance


class Planted(msgspec.Struct, frozen=True):
    """A policy that does a task with a chance of the task's own; a world in which a replay's
    outcome is a coin's with the chance `luck`; a judge that says the opposite with the chance
    `flips`.
    """

    luck: float
    flips: float

    def components(self) -> dict[str, float]:
        """Of the variance within tasks, over tasks whose chances are even from 0 to 1."""
        seen = (1 - 2 * self.flips) ** 2
        return {
            "policy": seen * (1 - self.luck) ** 2 / 6,
            "world": seen * self.luck / 2 * (1 - self.luck / 2),
            "judge": self.flips * (1 - self.flips),
        }

    def shares(self) -> dict[str, float]:
        """The same as shares of their sum."""
        parts = self.components()
        total = sum(parts.values())
        return {name: part / total for name, part in parts.items()}

    def draw(
        self, chance: random.Random, tasks: int, rollouts: int, replays: int, judgings: int
    ) -> list[TaskRewards]:
        """Rewards of so many."""
        return [
            self._task(chance, chance.random(), rollouts, replays, judgings) for _ in range(tasks)
        ]

    def _task(
        self, chance: random.Random, ability: float, rollouts: int, replays: int, judgings: int
    ) -> TaskRewards:
        task = []
        for _ in range(rollouts):
            does = chance.random() < ability
            task.append([self._replay(chance, judgings, does=does) for _ in range(replays)])
        return task

    def _replay(self, chance: random.Random, judgings: int, *, does: bool) -> list[float]:
        outcome = chance.random() < 0.5 if chance.random() < self.luck else does
        return [float(outcome != (chance.random() < self.flips)) for _ in range(judgings)]


def misses(
    planted: Planted, repetitions: int, shape: tuple[int, int, int, int], seed: int = 0
) -> dict[str, int]:
    """In how many repetitions the interval of each share does not hold the truth."""
    chance = random.Random(f"{planted}/{shape}/{seed}")
    truth = planted.shares()
    missed = dict.fromkeys(truth, 0)
    for repetition in range(repetitions):
        found = split_variance(planted.draw(chance, *shape), repetition)
        for name, share in truth.items():
            part = getattr(found, name)
            missed[name] += not part.low - 1e-9 <= share <= part.high + 1e-9
    return missed
