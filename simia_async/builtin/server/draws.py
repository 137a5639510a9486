"""Chance that a rerun repeats: a hash of the seed and of what is drawn for."""

from collections.abc import Callable
from hashlib import blake2b

Chance = Callable[[str], float]
"""A number between 0 and 1 for what it is drawn for."""


def draw(seed: int, *about: object) -> float:
    """A number strictly between 0 and 1, uniform, the same for the same arguments."""
    text = "/".join(map(str, (seed, *about)))
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
    return ((number >> 12) + 0.5) * 2.0**-52


def chance_of(seed: int, *whose: object) -> Chance:
    """What is drawn for one request, which `whose` tells from all others."""
    return lambda about: draw(seed, about, *whose)
