"""Rubric dropout: criteria that are left out at random, so that none is learnt by heart."""

import random
from collections.abc import Sequence

from simia_async.environments import Criterion


def dropped_criteria(
    criteria: Sequence[Criterion], share: float, seed: int, group: int
) -> frozenset[str]:
    """Names of the criteria that a group is judged without: each with the chance `share`, never
    all of them. The same for every rollout of the group, whose rewards are compared.
    """
    chance = random.Random(f"dropout/{seed}/{group}")
    names = [criterion.name for criterion in criteria]
    dropped = {name for name in names if chance.random() < share}
    if len(dropped) == len(set(names)) and dropped:
        dropped.remove(chance.choice(names))
    return frozenset(dropped)
